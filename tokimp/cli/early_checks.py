"""What the words of a command show before any library is loaded: a file or a model that is not there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_OWN_BACKENDS = {None, "transformer_lens", "nnsight"}


def check_early(words: Mapping[str, Any]) -> None:
    """Raise `TokimpError` if chains, questions or a model that were typed are not there.

    Only what costs nothing is looked at: no file is read, and the hub is not asked. Names that another package's
    scorer, or vLLM, gives a meaning of its own are left to it.

    Parameters
    ----------
    words
        What was typed, by the name of its parameter, as text.
    """
    chains, source = words.get("chains"), words.get("source")
    if isinstance(chains, str):
        from tokimp.chains.datasets import check_there

        check_there(chains)
    if isinstance(source, str):
        from tokimp.chains.datasets import check_there
        from tokimp.chains.datasets.record_files import has_file_ending

        # What other texts mean is the task's to say.
        if has_file_ending(Path(source)):
            check_there(source)
    # Where a finished run says which scorer it was made by, that is not known here.
    if words.get("backend") not in _OWN_BACKENDS or words.get("engine") == "vllm" or "run" in words:
        return
    for name in ("model", "student"):
        model = words.get(name)
        if isinstance(model, str):
            from tokimp.models.source import check_name

            check_name(model)
