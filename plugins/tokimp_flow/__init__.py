"""Estimators that follow what attention adds to the residual stream: `information_flow` and `value_zeroing`."""

from tokimp_flow.information_flow import InformationFlow
from tokimp_flow.value_zeroing import ValueZeroing

__all__ = ["InformationFlow", "ValueZeroing"]
