"""Where cells run: in this process, in several of this machine, or in workers that a plugin starts elsewhere."""
