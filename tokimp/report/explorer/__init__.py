"""The explorer: one HTML file in which the chains of a result are read, estimator beside estimator."""
