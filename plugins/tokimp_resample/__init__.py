"""Importance from the model's own continuations: `resample` (thought anchors) and `pivotal` (pivotal tokens)."""

from tokimp_resample.continuations import Continuations, Sampling, write_continuations
from tokimp_resample.pivotal import Pivotal
from tokimp_resample.resample import Resample
from tokimp_resample.unit_values import UnitValues

__all__ = ["Continuations", "Pivotal", "Resample", "Sampling", "UnitValues", "write_continuations"]
