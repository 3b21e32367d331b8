"""Teacher, pruner, student: chains sampled from one, pruned by any estimator, and what a student learns of them."""
