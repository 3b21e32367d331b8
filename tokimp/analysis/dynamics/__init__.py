"""How importance changes as the reasoning gets shorter."""
