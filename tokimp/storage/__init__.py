"""Files that survive a kill: atomic writes, digests, locked run folders, append-only logs."""
