"""What stays likely as an estimator's least, or most, important units are deleted."""
