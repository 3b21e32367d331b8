"""The hot path: scores of many deletions, with nothing computed twice."""
