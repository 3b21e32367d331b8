"""The results of a plan as tables: a row a cell, curves over keep ratios, and which methods differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tokimp.analysis.statistics.crossed import crossed_interval, crossed_p_value
from tokimp.analysis.statistics.intervals import share_interval
from tokimp.analysis.statistics.multiplicity import holm
from tokimp.chains.arrays import FloatArray
from tokimp.distillation.ask.paired import paired_test
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


def right_answers(plan: Plan, out: Path, table: pd.DataFrame) -> dict[str, Mapping[str, bool]]:
    """Return which questions each finished cell's student answers right, by the cell's name and the question's id."""
    cell_of = {cell.name: cell for cell in cells(plan)}
    names: list[str] = table["cell"].tolist() if len(table) else []
    return {name: CellStep(plan, out, cell_of[name]).evaluation().right for name in names}


def curve_table(table: pd.DataFrame, right: Mapping[str, Mapping[str, bool]]) -> pd.DataFrame:
    """Return one row for each point of a curve: a method at a keep ratio, or a reference, over seeds.

    ``accuracy`` is the mean over seeds, ``lowest`` and ``highest`` the extremes, ``deviation`` the standard deviation
    (missing with one seed). ``low`` to ``high`` is its 95 % interval. With several seeds it counts that other trainings
    and other questions would have given another accuracy (`tokimp.analysis.statistics.crossed.crossed_interval`). With
    one seed it is Wilson's, about other questions for the same student. ``matched``: the method's kept share is within
    `MATCHED` of the mean of all methods at the ratio; ``off_target``: its difference from the ratio itself.

    Parameters
    ----------
    table
        What `cell_table` returns.
    right
        What `right_answers` returns.
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
        cells=("cell", tuple),
    ).reset_index()
    ends = [_accuracy_ends([right[name] for name in names]) for names in curves.pop("cells")]
    curves["low"], curves["high"] = zip(*ends, strict=True)
    pruned = curves["kind"] == "pruned"
    usual = curves[pruned].groupby([*GROUP, "keep_ratio"])["kept_share"].transform("mean")
    curves["matched"] = (curves["kept_share"] - usual).abs() <= MATCHED
    curves.loc[~pruned, "matched"] = True
    curves["off_target"] = curves["kept_share"] - curves["keep_ratio"]
    return curves


def method_differences(table: pd.DataFrame, right: Mapping[str, Mapping[str, bool]]) -> pd.DataFrame:
    """Compare every two methods at every keep ratio on the same questions.

    ``difference`` is the first method's accuracy minus the second's, over the seeds that both have. With several seeds
    a training is random as well as the questions. So ``low``, ``high`` and ``p_value`` count both, and say where the
    difference would be with other trainings and other questions (`tokimp.analysis.statistics.crossed`). With one seed
    they are about other questions for these two students alone: the p-value is that of McNemar's exact test. ``test``
    says which it is. ``p_holm`` is corrected by Holm (1979, Scandinavian Journal of Statistics 6) for all pairs of
    methods at one keep ratio. Differences of several seeds that are the same on every question have no interval.

    Parameters
    ----------
    table
        What `cell_table` returns.
    right
        What `right_answers` returns.

    Returns
    -------
    pandas.DataFrame
        A row a pair of methods at a keep ratio.
    """
    pruned = table[table["kind"] == "pruned"]
    rows: list[dict[str, Any]] = []
    for key, at_ratio in pruned.groupby([*GROUP, "keep_ratio"], sort=False):
        methods = list(dict.fromkeys(at_ratio["method"]))
        tests = []
        for first, second in combinations(methods, 2):
            runs = [at_ratio[at_ratio["method"] == name].set_index("seed")["cell"] for name in (first, second)]
            shared = sorted(set(runs[0].index) & set(runs[1].index))
            if shared:
                pairs = [(right[runs[0][shared_seed]], right[runs[1][shared_seed]]) for shared_seed in shared]
                tests.append({"first": first, "second": second, "seeds": len(shared), **_test(pairs)})
        corrected = holm([test["p_value"] for test in tests])
        for test, p_holm in zip(tests, corrected, strict=True):
            rows.append({**dict(zip([*GROUP, "keep_ratio"], key, strict=True)), **test, "p_holm": p_holm})
    return pd.DataFrame(rows)


def _test(pairs: Sequence[tuple[Mapping[str, bool], Mapping[str, bool]]]) -> dict[str, Any]:
    """Return difference, interval and p-value of answers to the same questions, [seed] of (first, second)."""
    if len(pairs) == 1:
        test = paired_test(*pairs[0])
        return {
            "difference": test.difference,
            "low": test.low,
            "high": test.high,
            "p_value": test.p_value,
            "n": test.n,
            "test": "McNemar",
        }
    first, second = (_scores([pair[side] for pair in pairs]) for side in (0, 1))
    differences = first - second
    interval = crossed_interval(differences)
    p_value = crossed_p_value(differences)
    return {
        "difference": interval.mean,
        "low": interval.low,
        "high": interval.high,
        # Without any spread there is nothing that a difference could be measured against.
        "p_value": 1.0 if np.isnan(p_value) else p_value,
        "n": differences.shape[1],
        "test": "seeds and questions",
    }


def _accuracy_ends(right: Sequence[Mapping[str, bool]]) -> tuple[float, float]:
    """Return the ends of the interval of an accuracy over seeds, from each seed's right answers."""
    scores = _scores(right)
    if len(scores) == 1 or scores.shape[1] < 2:
        share = share_interval(int(scores[0].sum()), scores.shape[1])
        return share.low, share.high
    interval = crossed_interval(scores)
    return max(0.0, interval.low), min(1.0, interval.high)


def _scores(right: Sequence[Mapping[str, bool]]) -> FloatArray:
    """Return 1 for a right answer, else 0, [seed, question], questions in the order of their ids."""
    ids = sorted(right[0])
    return np.array([[float(answers[name]) for name in ids] for answers in right])
