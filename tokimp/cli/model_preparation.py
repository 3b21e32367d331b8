"""What commands do before they load a model."""

from __future__ import annotations

import os
from pathlib import Path

from tokimp.cli.lines import echo


def prepare_model(model: str, backend: str | None = None) -> None:
    """Let the embedded model compute on one thread; say if a model is looked for on the hub, or has to be converted.

    Parameters
    ----------
    model
        The model's name, as typed.
    backend
        The scorer plugin that is to load it, if one does.
    """
    keep_to_one_thread(model)
    _tell_of_the_hub(model, backend)
    _tell_of_a_conversion(model)


def keep_to_one_thread(model: str) -> None:
    """Let torch compute on one thread, if the model is the embedded one and the environment does not say otherwise."""
    import torch

    from tokimp.models.source import TINY

    if model == TINY and "OMP_NUM_THREADS" not in os.environ:
        # A second thread saves so small a model a sixth of its time on a free core, and costs a multiple on a busy one.
        torch.set_num_threads(1)


def _tell_of_the_hub(model: str, backend: str | None) -> None:
    """Say on standard error that a model is looked for on the hub, which may take a while.

    Nothing is said of a model that is here or was fetched before, nor if `backend` is a scorer with models of its own.
    """
    from tokimp.contracts.registry import load
    from tokimp.errors import TokimpError
    from tokimp.models.causal_lm import CausalLMScorer
    from tokimp.models.source import asks_the_hub

    try:
        asks = asks_the_hub(model) and (backend is None or issubclass(load("scorers", backend), CausalLMScorer))
    except TokimpError:
        # The code that loads the model says what is wrong with its name, or with the backend's.
        return
    if asks:
        echo(f"no folder or file {model!r} is here: looking for it on the hub", err=True)


def _tell_of_a_conversion(model: str) -> None:
    """Say on standard error that a GGUF file is converted now, and where that is kept; it takes a while."""
    from tokimp.errors import TokimpError
    from tokimp.models.converted_gguf import is_converted
    from tokimp.models.source import locate
    from tokimp.storage.cache_folder import cache_folder

    try:
        folder, extra = locate(model)
        file = Path(folder) / extra["gguf_file"]
        converted = is_converted(file)
    except (TokimpError, KeyError, OSError):
        # No GGUF file, or none that can be read: the code that loads the model says why.
        return
    if not converted:
        echo(
            f"converting {file.name} ({file.stat().st_size / 2**20:,.0f} MiB) once, which takes about a minute for "
            f"100 MiB; its unpacked weights are kept in {cache_folder()} (tokimp doctor says how large that is)",
            err=True,
        )
