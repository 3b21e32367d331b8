"""What a plugin implements, and the registry that finds it by name."""
