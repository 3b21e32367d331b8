"""What compares an estimator's value on each chain with that of random orders of the same chain, and of position."""
