"""How much of log P(answer) is the answer's value, and a warning where most of it is something else."""

from __future__ import annotations

import numpy as np
import xarray as xr

VARIABLE = "full_loglik_answer_value"


def value_share(result: xr.DataTree) -> float:
    """Return the share of the value in log P(answer) of the unpruned chains, summed over chains; NaN if not known."""
    if VARIABLE not in result:
        return float("nan")
    value, answer = result[VARIABLE].to_numpy(), result["full_loglik_answer"].to_numpy()
    known = ~np.isnan(value)
    total = answer[known].sum()
    return float(value[known].sum() / total) if total < 0 else float("nan")


def answer_share_warning(result: xr.DataTree) -> str:
    """Return a sentence where a run preserves ``answer`` and most of it is not the value; empty otherwise."""
    share = value_share(result)
    if result.attrs["objective"] != "answer" or not share < 0.5:
        return ""
    return (
        f"warning: only {share:.0%} of log P(answer) is the answer's value, the rest is what opens it and what ends "
        "the turn; the objective answer_value measures the value alone"
    )
