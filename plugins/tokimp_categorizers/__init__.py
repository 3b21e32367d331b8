"""Two categorizers of reasoning tokens: by rules, and by a language model."""
