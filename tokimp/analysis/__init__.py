"""What can be found out from a result, whoever's estimators are in it; `tokimp.analyze` runs an analysis."""
