"""What libraries write to standard error, and how to keep it to our own words."""

from __future__ import annotations

import logging
import warnings

from transformers.utils import logging as transformers_logging

_LIBRARIES = ("huggingface_hub", "httpx", "datasets", "transformer_lens", "nnsight", "trl", "accelerate")


def quiet_libraries() -> None:
    """Keep stderr to our own words: what the libraries have to say is for those who debug."""
    warnings.filterwarnings("ignore")
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call] # transformers has no annotations here
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call] # likewise
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.ERROR)
