"""Load a model to write text with, by the name of its engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from tokimp.contracts.scorer_recipe import ScorerRecipe, recipe_of
from tokimp.errors import UnsupportedError

if TYPE_CHECKING:
    from tokimp.models.writing.engine import WritingEngine

Engine = Literal["transformers", "vllm"]
ENGINES: tuple[Engine, ...] = get_args(Engine)


def load_engine(
    model: Any,
    engine: Engine = "transformers",
    *,
    device: str = "auto",
    dtype: str = "auto",
    tokenizer: Any = None,
    **options: Any,
) -> WritingEngine:
    """Load a model that writes text and gives no other numbers.

    Parameters
    ----------
    model
        A hub id, a folder, a GGUF file, a transformers model object, or ``"tiny"``. vLLM takes a hub id or a folder.
    engine
        ``transformers``, or ``vllm``, which has to be installed.
    device, dtype, tokenizer
        As of `tokimp.load_scorer`. vLLM takes no tokenizer.
    **options
        Further parameters of `TransformersEngine` or `VllmEngine`.

    Raises
    ------
    ScorerError
        If the model cannot be loaded.
    UnsupportedError
        If there is no such engine, vLLM is not installed, or the engine cannot run this model.
    """
    shared = {"device": device, "dtype": dtype, **({} if tokenizer is None else {"tokenizer": tokenizer})}
    loaded: WritingEngine = _engine_class(engine)(model, **shared, **options)
    loaded.recipe = recipe_of(
        model, engine, device=device, dtype=dtype, tokenizer=tokenizer, options=options, only_writes=True
    )
    return loaded


def load_engine_recipe(recipe: ScorerRecipe) -> WritingEngine:
    """Load the engine that a recipe describes; see `load_engine` for what is raised."""
    return load_engine(
        recipe.model,
        cast("Engine", recipe.backend),
        device=recipe.device,
        dtype=recipe.dtype,
        tokenizer=recipe.tokenizer,
        **recipe.options,
    )


def _engine_class(engine: str) -> Any:
    """Return the class of an engine."""
    # Each is imported when it is asked for: transformers is slow to import, and vLLM may not be installed.
    if engine == "transformers":
        from tokimp.models.writing.transformers_engine import TransformersEngine  # noqa: PLC0415 - as said above

        return TransformersEngine
    if engine == "vllm":
        from tokimp.models.writing.vllm_engine import VllmEngine  # noqa: PLC0415 - as said above

        return VllmEngine
    raise UnsupportedError(f"there is no engine {engine!r}; engines are {', '.join(ENGINES)}")
