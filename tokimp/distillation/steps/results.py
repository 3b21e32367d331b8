"""The results of a plan as tables: a row a cell, curves over keep ratios, and which methods differ."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tokimp.distillation.ask.paired import difference_interval, paired_test, sign_flip_p_value
from tokimp.distillation.plan.grid import cells
from tokimp.distillation.plan.plan import Plan
from tokimp.distillation.steps.cell_steps import CellStep

MATCHED = 0.01
"""How far a method's kept share may lie from the mean of all methods at a keep ratio, to count as matched."""
GROUP = ["student", "teacher", "pruner"]


def cell_table(plan: Plan, out: Path) -> pd.DataFrame:
    """Return one row for each finished cell of a plan.

    Columns are ``cell``, ``kind``, ``student``, ``teacher``, ``pruner``, ``method``, ``estimator``, ``objective``,
    ``keep_ratio``, ``seed``; from the evaluation ``accuracy``, ``low``, ``high``, ``n``, ``unparsed``, ``not_known``,
    ``reasoning_tokens``; from the pruning ``kept_share``, ``kept_tokens``, ``changed_chains``, ``changed_tokens`` (by
    tokenising anew); from the training ``chains``, ``steps``, ``tokens``, ``loss`` (mean over the last tenth of the
    steps); and ``train_seconds``, ``evaluate_seconds``. Values that do not apply to a cell are missing.
    """
    rows = []
    for cell in cells(plan):
        step = CellStep(plan, out, cell)
        if step.finished():
            rows.append(_row(step.outcome()))
    return pd.DataFrame(rows)


def _row(outcome: dict[str, Any]) -> dict[str, Any]:
    method, pruning = outcome["method"] or {}, outcome["pruning"] or {}
    retokenization, training = pruning.get("retokenization") or {}, outcome["training"] or {}
    return {
        "cell": outcome["cell"],
        "kind": outcome["kind"],
        **{name: (outcome[name] or {}).get("name") for name in GROUP},
        "method": method.get("name"),
        "estimator": method.get("estimator"),
        "objective": method.get("objective"),
        "keep_ratio": outcome["keep_ratio"] if outcome["kind"] == "pruned" else 1.0,
        "seed": outcome["seed"],
        # Cells of 0.1.0 called what is not known wrong.
        "not_known": 0.0,
        **outcome["evaluation"],
        "kept_share": pruning.get("kept_share"),
        "kept_tokens": pruning.get("kept_tokens"),
        "changed_chains": retokenization.get("chains"),
        "changed_tokens": retokenization.get("tokens"),
        **{name: training.get(name) for name in ("chains", "steps", "tokens", "loss")},
        "train_seconds": outcome["seconds"]["train"],
        "evaluate_seconds": outcome["seconds"]["evaluate"],
    }


def curve_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each point of a curve: a method at a keep ratio, or a reference, over seeds.

    ``accuracy`` is the mean over seeds, ``lowest`` and ``highest`` the extremes, ``deviation`` the standard deviation
    (missing with one seed). ``matched``: the method's kept share is within `MATCHED` of the mean of all methods at the
    ratio; ``off_target``: its difference from the ratio itself.

    Parameters
    ----------
    table
        What `cell_table` returns.
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
        not_known=("not_known", "mean"),
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


def method_differences(plan: Plan, out: Path, table: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Compare every two methods at every keep ratio on the same questions.

    A question's score is the share of seeds whose student answers it right; only seeds that both methods have count.
    ``difference`` is the first method's mean score minus the second's, ``low`` and ``high`` its bootstrap interval over
    questions. ``p_value`` is that of McNemar's exact test with one seed, and of sign flips with several: an interval or
    p-value is about other questions, not about other seeds. ``p_holm`` is corrected by Holm (1979, Scandinavian Journal
    of Statistics 6) for all pairs of methods at one keep ratio.

    Parameters
    ----------
    plan, out
        The plan and its folder.
    table
        What `cell_table` returns.
    seed
        Seed of the bootstrap and of the sign flips.

    Returns
    -------
    pandas.DataFrame
        A row a pair of methods at a keep ratio.
    """
    pruned = table[table["kind"] == "pruned"]
    cell_of = {cell.name: cell for cell in cells(plan)}
    right = {name: CellStep(plan, out, cell_of[name]).evaluation().right for name in pruned["cell"]}
    rows: list[dict[str, Any]] = []
    for key, at_ratio in pruned.groupby([*GROUP, "keep_ratio"], sort=False):
        methods = list(dict.fromkeys(at_ratio["method"]))
        tests = []
        for first, second in combinations(methods, 2):
            runs = [at_ratio[at_ratio["method"] == name].set_index("seed")["cell"] for name in (first, second)]
            shared = sorted(set(runs[0].index) & set(runs[1].index))
            if shared:
                pairs = [(right[runs[0][shared_seed]], right[runs[1][shared_seed]]) for shared_seed in shared]
                tests.append({"first": first, "second": second, "seeds": len(shared), **_test(pairs, seed)})
        corrected = holm([test["p_value"] for test in tests])
        for test, p_holm in zip(tests, corrected, strict=True):
            rows.append({**dict(zip([*GROUP, "keep_ratio"], key, strict=True)), **test, "p_holm": p_holm})
    return pd.DataFrame(rows)


def _test(pairs: list[tuple[Any, Any]], seed: int) -> dict[str, Any]:
    """Return difference, interval and p-value of answers to the same questions, [seed] of (first, second)."""
    if len(pairs) == 1:
        test = paired_test(*pairs[0], seed=seed)
        return {
            "difference": test.difference,
            "low": test.low,
            "high": test.high,
            "p_value": test.p_value,
            "n": test.n,
            "test": "McNemar",
        }
    ids = sorted(pairs[0][0])
    scores = [np.array([[float(right[name]) for name in ids] for right in pair]) for pair in pairs]
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


def holm(p_values: list[float]) -> list[float]:
    """Correct p-values for how many there are, by Holm's step-down procedure; they keep their order.

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
