"""How far estimators agree: over all chains, within groups of chains, and between results."""
