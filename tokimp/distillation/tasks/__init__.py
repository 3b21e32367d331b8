"""The tasks that come with tokimp, one file each; other packages add theirs by the entry point ``tokimp.tasks``."""
