"""Load a model to write text with, by the name of its engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from tokimp.errors import UnsupportedError

if TYPE_CHECKING:
    from tokimp.models.writing.engine import WritingEngine

Engine = Literal["transformers", "vllm"]
ENGINES: tuple[Engine, ...] = get_args(Engine)


def load_engine(model: Any, engine: Engine = "transformers", **options: Any) -> WritingEngine:
    """Load a model that writes text and gives no other numbers.

    Parameters
    ----------
    model
        A hub id, a folder, a GGUF file, a transformers model object, or ``"tiny"``. vLLM takes a hub id or a folder.
    engine
        ``transformers``, or ``vllm``, which has to be installed.
    **options
        Parameters of `TransformersEngine` or `VllmEngine`: ``device``, ``dtype``, ...

    Raises
    ------
    ScorerError
        If the model cannot be loaded.
    UnsupportedError
        If there is no such engine, vLLM is not installed, or the engine cannot run this model.
    """
    # Each engine is imported when it is asked for: transformers is slow to import, and vLLM may not be installed.
    if engine == "transformers":
        from tokimp.models.writing.transformers_engine import TransformersEngine  # noqa: PLC0415 - as said above

        return TransformersEngine(model, **options)
    if engine == "vllm":
        from tokimp.models.writing.vllm_engine import VllmEngine  # noqa: PLC0415 - as said above

        return VllmEngine(model, **options)
    raise UnsupportedError(f"there is no engine {engine!r}; engines are {', '.join(ENGINES)}")
