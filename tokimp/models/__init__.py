"""Causal language models: loaded, run within memory, and read for the numbers of a scorer."""
