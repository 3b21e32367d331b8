"""Chains x estimators -> result, cell by cell, each cell on disk before the next starts."""
