"""What a plan found: a row a cell, curves over keep ratios, and which methods differ."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tokimp.chains.arrays import FloatArray
from tokimp.distillation.ask.paired import difference_interval, paired_test
from tokimp.distillation.plan.grid import cells
from tokimp.distillation.plan.plan import Plan
from tokimp.distillation.steps.cell_steps import CellStep

MATCHED = 0.01
"""How far a method's kept share may lie from the mean of all methods at a keep ratio, to count as matched."""
GROUP = ["student", "teacher", "pruner"]
_RESAMPLES, _PIECE = 20_000, 1000


def cell_table(plan: Plan, out: Path) -> pd.DataFrame:
    """Return one row for each finished cell of a plan.

    Columns are ``cell``, ``kind``, ``student``, ``teacher``, ``pruner``, ``method``, ``estimator``, ``objective``,
    ``keep_ratio``, ``seed``; of the evaluation ``accuracy``, ``low``, ``high``, ``n``, ``unparsed``,
    ``reasoning_tokens``; of the pruning ``kept_share``, ``kept_tokens``, ``changed_chains``, ``changed_tokens`` (by
    tokenising anew); of the training ``chains``, ``steps``, ``tokens``, ``loss`` (mean over the last tenth of the
    steps); and ``train_seconds``, ``evaluate_seconds``. What does not apply is missing.
    """
    rows = []
    for cell in cells(plan):
        step = CellStep(plan, out, cell)
        if step.finished():
            rows.append(_row(step.outcome()))
    return pd.DataFrame(rows)


def _row(outcome: dict[str, Any]) -> dict[str, Any]:
    method, pruning = outcome["method"] or {}, outcome["pruning"] or {}
    again, training = pruning.get("retokenization") or {}, outcome["training"] or {}
    return {
        "cell": outcome["cell"],
        "kind": outcome["kind"],
        **{name: (outcome[name] or {}).get("name") for name in GROUP},
        "method": method.get("name"),
        "estimator": method.get("estimator"),
        "objective": method.get("objective"),
        "keep_ratio": outcome["keep_ratio"] if outcome["kind"] == "pruned" else 1.0,
        "seed": outcome["seed"],
        **outcome["evaluation"],
        "kept_share": pruning.get("kept_share"),
        "kept_tokens": pruning.get("kept_tokens"),
        "changed_chains": again.get("chains"),
        "changed_tokens": again.get("tokens"),
        **{name: training.get(name) for name in ("chains", "steps", "tokens", "loss")},
        "train_seconds": outcome["seconds"]["train"],
        "evaluate_seconds": outcome["seconds"]["evaluate"],
    }


def curve_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each curve's point: a method at a keep ratio, or a baseline, over seeds.

    ``accuracy`` is the mean over seeds, ``lowest`` and ``highest`` the extremes, ``deviation`` the standard deviation
    (missing with one seed). ``matched``: the method's kept share is within `MATCHED` of the mean of all methods at the
    ratio; ``off_target``: its difference from the ratio itself.
    """
    keys = [*GROUP, "kind", "method", "estimator", "objective", "keep_ratio"]
    grouped = table.groupby(keys, dropna=False, sort=False)
    curves = grouped.agg(
        accuracy=("accuracy", "mean"),
        lowest=("accuracy", "min"),
        highest=("accuracy", "max"),
        deviation=("accuracy", "std"),
        seeds=("accuracy", "size"),
        n=("n", "first"),
        unparsed=("unparsed", "mean"),
        reasoning_tokens=("reasoning_tokens", "mean"),
        kept_share=("kept_share", "first"),
        kept_tokens=("kept_tokens", "first"),
        changed_chains=("changed_chains", "first"),
        changed_tokens=("changed_tokens", "first"),
        chains=("chains", "first"),
    ).reset_index()
    pruned = curves["kind"] == "pruned"
    usual = curves[pruned].groupby([*GROUP, "keep_ratio"])["kept_share"].transform("mean")
    curves["matched"] = (curves["kept_share"] - usual).abs() <= MATCHED
    curves.loc[~pruned, "matched"] = True
    curves["off_target"] = curves["kept_share"] - curves["keep_ratio"]
    return curves


def difference_table(plan: Plan, out: Path, table: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Compare every two methods at every keep ratio on the same questions.

    A question's score is the share of seeds whose student answers it right; those seeds are used that both methods
    have. ``difference`` is the mean of the first's less the second's, ``low`` and ``high`` its bootstrap interval over
    questions (95 %). With one seed, ``p_value`` is McNemar's exact test's; with several, that of a permutation test
    that flips the sign of each question's difference (questions, not answers, are what is drawn, since a question's
    answers under several seeds belong together). Trainings count as given: the interval is about other questions, not
    about other seeds. ``p_holm`` is corrected by Holm (1979, Scandinavian Journal of Statistics 6) for all pairs of
    methods at one keep ratio.
    """
    pruned = table[table["kind"] == "pruned"]
    by_name = {cell.name: cell for cell in cells(plan)}
    right = {name: CellStep(plan, out, by_name[name]).evaluation().right for name in pruned["cell"]}
    rows: list[dict[str, Any]] = []
    for key, at_ratio in pruned.groupby([*GROUP, "keep_ratio"], sort=False):
        methods = list(dict.fromkeys(at_ratio["method"]))
        tests = []
        for first, second in combinations(methods, 2):
            runs = [at_ratio[at_ratio["method"] == name].set_index("seed")["cell"] for name in (first, second)]
            shared = sorted(set(runs[0].index) & set(runs[1].index))
            if shared:
                pairs = [(right[runs[0][each]], right[runs[1][each]]) for each in shared]
                tests.append({"first": first, "second": second, "seeds": len(shared), **_test(pairs, seed)})
        corrected = holm([test["p_value"] for test in tests])
        for test, p_holm in zip(tests, corrected, strict=True):
            rows.append({**dict(zip([*GROUP, "keep_ratio"], key, strict=True)), **test, "p_holm": p_holm})
    return pd.DataFrame(rows)


def _test(pairs: list[tuple[Any, Any]], seed: int) -> dict[str, Any]:
    """Return difference, interval and p-value of answers to the same questions, [seed] of (first, second)."""
    if len(pairs) == 1:
        found = paired_test(*pairs[0], seed=seed)
        return {
            "difference": found.difference,
            "low": found.low,
            "high": found.high,
            "p_value": found.p_value,
            "n": found.n,
            "test": "McNemar",
        }
    ids = sorted(pairs[0][0])
    scores = [np.array([[float(side[each]) for each in ids] for side in pair]) for pair in pairs]
    differences = np.mean(scores, axis=0)[0] - np.mean(scores, axis=0)[1]
    interval = difference_interval(differences, seed=seed)
    return {
        "difference": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "p_value": sign_flip_p_value(differences, seed=seed),
        "n": len(ids),
        "test": "sign flips",
    }


def sign_flip_p_value(differences: FloatArray, *, seed: int = 0, n_resamples: int = _RESAMPLES) -> float:
    """Return the two-sided p-value of a permutation test that the differences' signs are arbitrary.

    Where there are few enough ways to flip the signs of those that are not 0, all are tried, else `n_resamples` drawn
    ones (Phipson and Smyth 2010, equation 2: the data's own signs count among them).

    Parameters
    ----------
    differences
        [pair]
    seed, n_resamples
        Of the drawing.

    Examples
    --------
    >>> sign_flip_p_value(np.array([1.0, 1.0, 1.0, 1.0, 0.0]))
    0.125
    """
    known = differences[differences != 0]
    if not len(known):
        return 1.0
    observed = abs(known.sum()) - 1e-9
    if 2 ** len(known) <= n_resamples:
        bits = (np.arange(2 ** len(known))[:, None] >> np.arange(len(known))) & 1
        return float((np.abs((1 - 2 * bits) @ known) >= observed).mean())
    rng = np.random.default_rng(seed)
    extreme = 0
    for begin in range(0, n_resamples, _PIECE):
        signs = rng.integers(0, 2, size=(min(_PIECE, n_resamples - begin), len(known))) * 2 - 1
        extreme += int((np.abs(signs @ known) >= observed).sum())
    return (1 + extreme) / (1 + n_resamples)


def holm(p_values: list[float]) -> list[float]:
    """Return p-values corrected for being several, by Holm's step-down procedure, in their order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values)
    corrected = np.empty(len(p_values))
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = highest
    return [float(round(value, 12)) for value in corrected]
