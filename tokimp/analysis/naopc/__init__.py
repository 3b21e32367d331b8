"""The area over the perturbation curve, normalised by what the best and the worst order of the chain reach."""
