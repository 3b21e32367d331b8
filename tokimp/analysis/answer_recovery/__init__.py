"""Whether a model still gives the answer after pruned reasoning."""
