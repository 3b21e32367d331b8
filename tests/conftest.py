"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

# No test may depend on how fast the machine is; the first example often pays for an import.
settings.register_profile("tokimp", deadline=None, print_blob=True)
settings.load_profile("tokimp")
