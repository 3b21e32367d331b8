"""What the diagnostics of the estimators that come with tokimp mean, for tables; docs/methods.md links here.

A result holds the numbers and loads no plugin, so the words stand here. The estimator of another package says in its
own documentation what its diagnostics mean.
"""

from __future__ import annotations

_MEANINGS = {
    "ablations": "how many subsets of units were scored",
    "at_floor": "share of predictions that a cut moved too little to be told from no move",
    "audit_agreement": "share of audited steps at which the fast strategy chose the best unit",
    "audit_loss": "nats lost a step against the best choice, mean over audited steps",
    "audited_steps": "steps at which the fast strategy was checked against all units",
    "completeness_gap": "sum of the scores less the change that they should add up to, nats; 0 is best",
    "completeness_gap_relative": "that gap as a share of the change; far below 1 is good",
    "different": "continuations that begin with another unit, mean over units",
    "discoveries": "units that differ from noise at a false discovery rate of 5 %",
    "effect_noise": "mean standard error of an effect, nats",
    "exact": "1 if all subsets were scored, 0 if some were drawn",
    "fast": "1 if the fast strategy chose, 0 if every unit was tried at every step",
    "fit": "R squared of the linear model on the subsets; far below 1, its weights say little",
    "forking_entropy": "lowest entropy of a token that counts, nats",
    "kept_share": "share of the tokens that LLMLingua-2 kept",
    "kurtosis": "mean kurtosis of the chosen heads; high if attention is drawn by few units",
    "mean_entropy": "mean entropy of a reasoning token, nats",
    "noise": "mean standard error of a unit's change",
    "nonzero": "how many units have a weight at all; all others tie",
    "null_mean": "mean over units of what noise alone gives",
    "null_q95": "mean over units of what noise alone exceeds in 5 % of cases",
    "p_after": "chance of success after the whole reasoning",
    "p_before": "chance of success without any reasoning",
    "p_min": "smallest p-value of a unit",
    "pivotal_units": "how many units change the chance of success enough to count",
    "rate": "the compression rate that was asked of LLMLingua-2",
    "reasoning_share": "share of the answer's sources that lies in the reasoning",
    "repeated": "continuations that say the unit again in other words, mean over units",
    "split_half": "how far two halves of the same continuations differ, which is noise",
    "standard_error_max": "largest standard error of a unit's value, nats",
    "standard_error_mean": "mean standard error of a unit's value, nats; far below the values is good",
    "subsets": "how many subsets of units were scored",
    "unanswered": "share of continuations without an answer",
    "units_in_window": "units whose tokens lie in the window that looks at the others",
    "units_without_targets": "units that have nothing after them to move, and get 0",
    "unscored_units": "units at the end that have no score, and get 0",
    "within_noise": "pivotal units less than 1.96 standard errors from 0",
    "without_value": "units that score 0 because there was nothing to compare",
}


def diagnostic_meaning(name: str) -> str:
    """Return what a diagnostic means, in a few words; empty if it is not one of those that come with tokimp.

    >>> diagnostic_meaning("p_min")
    'smallest p-value of a unit'
    """
    return _MEANINGS.get(name, "")
