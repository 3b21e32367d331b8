"""Surrogate: predicts the importance of units from attention, as deletions would give it.

`analysis.Surrogate` fits and tests surrogates on a run whose chains were deleted from, and can save one in a file.
`estimator.SurrogateEstimator` scores chains with a saved surrogate.
"""
