"""A student trained on chains."""
