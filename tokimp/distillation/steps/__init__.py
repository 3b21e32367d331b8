"""The steps of a plan: done once each, continued after a kill, gathered into results."""
