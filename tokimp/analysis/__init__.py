"""Analyses: what can be found out from a result, whoever's estimators are in it; `tokimp.analyze` runs them."""

from tokimp.contracts.analysis import Analysis, AnalysisInput, Scoring

__all__ = ["Analysis", "AnalysisInput", "Scoring"]
