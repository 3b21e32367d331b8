"""How much of what the reasoning does for the answer is there again with the most important units alone."""
