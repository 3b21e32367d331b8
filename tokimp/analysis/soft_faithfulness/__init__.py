"""Faithfulness by noise on embeddings: every unit stays a little, in proportion to its importance."""
