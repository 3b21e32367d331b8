"""AT2: learned weights of attention heads, fitted on what ablations do, and the estimator that uses them."""
