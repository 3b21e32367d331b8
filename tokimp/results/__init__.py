"""The result of a comparison: its schema, its files, its provenance, and views of it."""
