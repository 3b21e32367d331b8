"""tokimp."""
