"""Whether importances have the right sizes, and not only the right order."""
