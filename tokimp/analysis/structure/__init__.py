"""Which categories of tokens an estimator keeps."""
