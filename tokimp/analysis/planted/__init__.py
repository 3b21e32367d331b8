"""Whether an estimator ranks planted filler lowest."""
