"""Turn off what libraries write to standard error, so that a user sees only what tokimp says."""

from __future__ import annotations

import logging
import os
import sys
import warnings

_LIBRARIES = ("huggingface_hub", "httpx", "datasets", "transformer_lens", "nnsight", "trl", "accelerate")


def quiet_libraries() -> None:
    """Turn off the warnings and progress bars of libraries, whether they are imported already or later.

    This imports no library: the command line calls it before it knows whether one is needed at all.
    """
    warnings.filterwarnings("ignore")
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.ERROR)
    # Both read these variables once, when they are imported.
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if "huggingface_hub" in sys.modules:
        from huggingface_hub.utils.tqdm import disable_progress_bars  # noqa: PLC0415 - imported already

        disable_progress_bars()
    if "transformers" in sys.modules:
        from transformers.utils import logging as transformers_logging  # noqa: PLC0415 - imported already

        transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call] # transformers has no annotations
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call] # likewise
