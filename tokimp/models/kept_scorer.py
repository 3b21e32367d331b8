"""The scorer that a worker keeps: loaded once, and used by all work that asks for the same."""

from __future__ import annotations

from tokimp.contracts.scorer import Scorer
from tokimp.contracts.scorer_recipe import ScorerRecipe
from tokimp.errors import ExecutorError, UnsupportedError
from tokimp.models.batching import release_memory
from tokimp.models.loading import load_recipe
from tokimp.models.writing.load import load_engine_recipe

_kept: list[tuple[ScorerRecipe, Scorer]] = []


def kept_scorer(recipe: ScorerRecipe, fingerprint: str = "") -> Scorer:
    """Return the scorer of a recipe, loaded when it is first asked for; another recipe takes its place.

    Parameters
    ----------
    recipe
        What to load.
    fingerprint
        The fingerprint that it has to have; empty if nobody knows.

    Raises
    ------
    ExecutorError
        If it has another fingerprint.
    TokimpError
        As `tokimp.load_scorer`, if it cannot be loaded.
    """
    if not _kept or _kept[0][0] != recipe:
        forget_kept_scorer()
        _kept.append((recipe, load_engine_recipe(recipe) if recipe.only_writes else load_recipe(recipe)))
    scorer = _kept[0][1]
    if fingerprint and scorer.fingerprint() != fingerprint:
        raise ExecutorError(
            f"a worker loaded {recipe.model!r} and got another model than the run was begun with; workers load what "
            "the name stands for where they are, without hooks or edits made to a scorer in memory: give them the same "
            "files, or use the executor local"
        )
    return scorer


def forget_kept_scorer() -> None:
    """Let go of the scorer that is kept, before another model is loaded: two at once may not fit."""
    _kept.clear()
    release_memory()


def recipe_for_workers(scorer: Scorer) -> ScorerRecipe:
    """Return the recipe of a scorer.

    Raises
    ------
    UnsupportedError
        If it has none.
    """
    if scorer.recipe is None:
        raise UnsupportedError(
            f"the scorer of {scorer.model_id!r} was made of objects in memory, which other processes cannot load; load "
            "it by a name or folder (tokimp.load_scorer), or use the executor local"
        )
    return scorer.recipe
