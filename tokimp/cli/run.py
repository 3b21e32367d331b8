"""Rank chains as the options of ``tokimp compare`` and ``tokimp prune`` say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokimp.cli.model_preparation import prepare_model
from tokimp.cli.options import given
from tokimp.cli.progress_bar import progress_bar

if TYPE_CHECKING:
    import xarray as xr

    from tokimp.chains.chain import TokenizedChain
    from tokimp.chains.datasets import SkippedRecord
    from tokimp.compare.pending import PendingCells
    from tokimp.contracts.estimator import ImportanceEstimator
    from tokimp.contracts.executor import Executor


def run(
    doing: str,
    estimators: Sequence[str | ImportanceEstimator],
    out: Path,
    *,
    chains: str,
    model: str,
    backend: str,
    device: str,
    dtype: str,
    objective: str,
    unit: Any,
    prompt_format: Any,
    think_tags: tuple[str, str] | None,
    wrong_answers: str | None,
    limit: int | None,
    record_format: str,
    split: str,
    seed: int,
    trust_remote_code: bool,
    keep_calculator: bool,
    skip_bad: bool,
    chains_at_once: Any,
    packed: bool | None,
    compiled: bool | None,
    device_map: str | None,
    offload_folder: Path | None,
    quantization: str | None,
    random_weights: str | None = None,
    shard: str | None = None,
    executor: Executor | None = None,
    keep_going: bool = False,
    before_work: Callable[[PendingCells], None] | None = None,
    look: Callable[[Sequence[TokenizedChain]], None] | None = None,
) -> xr.DataTree:
    """Rank chains as the options say.

    Parameters
    ----------
    doing
        What the progress bar calls it: ``comparing``.
    estimators
        By which methods.
    out
        Folder of the run.
    chains, model, ...
        The options of `tokimp.cli.options.run_options`.
    executor
        Where cells are computed; here by default.
    keep_going
        Whether cells that fail are left out.
    random_weights
        Which weights are replaced by random numbers (`tokimp.load_scorer`); none by default.
    packed
        Whether shortened chains are read in packs; ``None`` leaves it to the scorer.
    compiled
        Whether the blocks of a model that reads packs are compiled.
    shard
        Which part of the chains to rank, ``2/8`` say; all of them by default.
    before_work
        Called with the cells that are to be computed, once all is checked and before anything is computed or written.
    look
        Called with the chains as ids before the model is loaded; with none where they are not known yet.

    Returns
    -------
    xarray.DataTree
        The result.
    """
    from tokimp.chains.datasets import load_chains
    from tokimp.compare.before_loading import check_before_loading
    from tokimp.compare.compare import compare
    from tokimp.compare.worker_scorer import scorer_of_workers
    from tokimp.contracts.registry import load_executor
    from tokimp.contracts.scorer_recipe import recipe_of
    from tokimp.models.loading import load_recipe

    # Chains before the model: a mistake in a file is found before the weights take their time.
    skipped: list[SkippedRecord] | None = [] if skip_bad else None
    loaded = load_chains(
        chains, format=record_format, limit=limit, keep_calculator=keep_calculator, skipped=skipped, split=split
    )
    prepare_model(model, backend)
    usable = check_before_loading(
        loaded,
        estimators,
        model=model,
        backend=backend,
        objective=objective,
        unit=unit,
        prompt_format=prompt_format,
        think_tags=think_tags,
        wrong_answers=wrong_answers,
        seed=seed,
        skip_bad=skip_bad,
        trust_remote_code=trust_remote_code,
        quantization=quantization,
    )
    if look is not None:
        look(usable)
    reading = given(
        packed=packed,
        compiled=compiled,
        device_map=device_map,
        offload_folder=offload_folder,
        quantization=quantization,
    )
    options = {"trust_remote_code": trust_remote_code, **reading, **given(random_weights=random_weights)}
    recipe = recipe_of(model, backend, device=device, dtype=dtype, tokenizer=None, options=options)
    assert recipe is not None  # noqa: S101 - what is typed is text
    scorer = load_recipe(recipe) if executor is None or executor.here else None
    with executor or load_executor("local") as running, progress_bar(doing) as progress:
        # Where workers load the model, it is not loaded here as well.
        scorer = scorer or scorer_of_workers(running, recipe)
        return compare(
            loaded,
            scorer,
            estimators,
            objective=objective,
            unit=unit,
            prompt_format=prompt_format,
            think_tags=think_tags,
            wrong_answers=wrong_answers,
            out=out,
            skipped=skipped,
            seed=seed,
            chains_at_once=chains_at_once,
            shard=shard,
            executor=running,
            keep_going=keep_going,
            before_work=before_work,
            progress=progress,
        )
