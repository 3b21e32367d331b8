"""What the log-likelihood of the answer becomes when the most important units are replaced."""
