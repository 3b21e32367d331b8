"""Chains of reasoning: read, divided into units, laid out for a model and tokenised."""
