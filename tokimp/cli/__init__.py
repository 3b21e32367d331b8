"""The command line: one file a command."""

import os

# transformers shows how it reads a GGUF file on a bar that nothing else turns off, and only before it is imported.
os.environ.setdefault("TQDM_DISABLE", "1")
