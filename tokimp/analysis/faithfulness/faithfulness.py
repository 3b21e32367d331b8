"""What becomes of the likelihoods as each estimator's least, or most, important units go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table
from scipy.integrate import trapezoid

from tokimp.analysis.deletion_orders import (
    KEEP_RATIOS,
    DeletionOrder,
    Units,
    deletion_orders,
    kept_count,
    positions_of,
    uniform_orders,
)
from tokimp.analysis.faithfulness.report import draw_faithfulness, faithfulness_table
from tokimp.analysis.statistics.intervals import mean_intervals
from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.objective import LogprobTensors, Objective, Span
from tokimp.contracts.scorer import Capability, DeletionScores, Scorer
from tokimp.results.by_chain import iterate

CURVES = ("least_first", "most_first")
# The bins of DeYoung et al. 2020, section 4.2.
RATIONALE_SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
_UNKNOWN = -1


class Faithfulness(Analysis):
    r"""Whether what an estimator calls important is what the likelihoods rest on.

    Every version of a chain is scored by the model of the run, on ids: positions close up, nothing is tokenised again.
    Two curves over the keep ratio, for each estimator and chain:

    - ``least_first``: the least important units have gone; read from the left, units come in, the most important
      first (the insertion curve of Petsiuk et al. 2018). High is good.
    - ``most_first``: the most important units have gone (their deletion curve). Low is good.

    in each of these measures:

    - ``answer``: log P(answer | prompt, what is kept), nats;
    - ``answer_probability``: its exponential;
    - ``joint``: log P(what is kept, answer | prompt), nats. A shorter text is likelier whatever it says, so values at
      different ratios must not be compared; at one ratio all estimators keep equally many units;
    - ``joint_per_token``: `joint` divided by the number of tokens it is a sum over;
    - the run's objective, if it is none of these.

    Of each curve the area (trapezoids, divided by the width: a mean height), and its difference from the mean area of
    random orders of the same chain. Comprehensiveness and sufficiency (DeYoung et al. 2020, equations 1 and 2) with
    rationales of the `rationale_shares` most important units (``int(n * share)``, at least one), averaged over the
    shares: :math:`m(x) - m(x \setminus r)`, high is good, and :math:`m(x) - m(r)`, low is good. They compare
    the whole chain with its parts, so measures that sum over the reasoning have none (NaN).

    Units that tie go in random order. Where an estimator says nothing about a chain, or stopped deleting before a
    ratio, the value is NaN; means are over the chains that have one, with BCa bootstrap intervals, chains resampled.

    Parameters
    ----------
    keep_ratios
        Shares of units kept, ascending, at least two; ``int(n * ratio)`` units stay.
    rationale_shares
        Shares of units that count as the rationale.
    n_uniform
        Random orders a chain; at least 1.
    confidence, n_resamples
        Of the bootstrap.
    seed
        Of random orders, ties and bootstrap.
    """

    name = "faithfulness"
    requires = frozenset({Capability.LOGPROBS, Capability.DELETIONS})

    def __init__(
        self,
        *,
        keep_ratios: Sequence[float] = KEEP_RATIOS,
        rationale_shares: Sequence[float] = RATIONALE_SHARES,
        n_uniform: int = 5,
        confidence: float = 0.95,
        n_resamples: int = 2000,
        seed: int = 0,
    ) -> None:
        self.keep_ratios = keep_ratios
        self.rationale_shares = rationale_shares
        self.n_uniform = n_uniform
        self.confidence = confidence
        self.n_resamples = n_resamples
        self.seed = seed

    def validate_parameters(self) -> None:
        """Raise `AnalysisError` for a ratio, share or number out of its range."""
        for name, fewest in (("keep_ratios", 2), ("rationale_shares", 1)):
            given = getattr(self, name)
            numbers = isinstance(given, list | tuple) and all(isinstance(share, int | float) for share in given)
            if not numbers or len(given) < fewest or list(given) != sorted({s for s in given if 0 <= s <= 1}):
                raise self.invalid_parameter(name, f"a list of at least {fewest} shares in [0, 1], ascending")
        for name in ("n_uniform", "n_resamples"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise self.invalid_parameter(name, "a whole number of at least 1")
        if not 0 < self.confidence < 1:
            raise self.invalid_parameter("confidence", "a number between 0 and 1")

    def compute(self, given: AnalysisInput) -> xr.Dataset:
        """Return the node that ``docs/schema.md`` describes."""
        scoring = given.scoring
        measures = _Measures(scoring.objective)
        found = []
        for index, (chain, (_, part)) in enumerate(zip(scoring.chains, iterate(given.result), strict=True)):
            uniform = uniform_orders(chain.id, len(chain.units), self.n_uniform, self.seed)
            plan = self._plan(len(chain.units), deletion_orders(part, self.seed), uniform)
            found.append(plan.read(measures.score(scoring.scorer, chain, plan.versions)))
            given.report(index + 1, len(scoring.chains), chain.id, "faithfulness")
        stacked = {name: np.stack([chain[name] for chain in found], axis=-1) for name in found[0]}
        return self._node(given.result, measures, stacked)

    def _plan(self, n: int, orders: Sequence[DeletionOrder | None], uniform: Sequence[DeletionOrder]) -> _Plan:
        """List the versions of a chain that have to be scored, and where each one's numbers go."""
        plan = _Plan()
        counts = [kept_count(n, ratio) for ratio in self.keep_ratios]
        rationales = [max(1, int(n * share)) for share in self.rationale_shares]
        # Of a random order either end is as random as the other: one curve is enough.
        plan.add("uniform_value", [[order.most_important(count) for count in counts] for order in uniform])
        plan.add("full", [tuple(range(n))])
        sides = (_most_important, _least_important)
        plan.add("value", [[[side(order, count) for count in counts] for order in orders] for side in sides])
        for prefix, rows in (("", list(orders)), ("uniform_", list(uniform))):
            plan.add(f"{prefix}without", [[_least_important(order, n - k) for k in rationales] for order in rows])
            plan.add(f"{prefix}alone", [[_most_important(order, k) for k in rationales] for order in rows])
        return plan

    def _node(self, result: xr.DataTree, measures: _Measures, found: dict[str, FloatArray]) -> xr.Dataset:
        curve, many = ("measure", "curve", "estimator"), ("measure", "estimator")
        values = found["value"]
        area, uniform_area = self._area(values), self._area(found["uniform_value"])
        gain = area - uniform_area.mean(axis=1)[:, None, None]
        variables: dict[str, Any] = {
            "value": ((*curve, "keep_ratio", "chain"), values),
            **self._summary("", (*curve, "keep_ratio"), values),
            "chains_used": (("curve", "estimator", "keep_ratio"), (~np.isnan(values[0])).sum(axis=-1)),
            "area": ((*curve, "chain"), area),
            **self._summary("area_", curve, area),
            "gain": ((*curve, "chain"), gain),
            **self._summary("gain_", curve, gain),
            "uniform_value": (("measure", "draw", "keep_ratio", "chain"), found["uniform_value"]),
            **_band("uniform_", ("measure", "keep_ratio"), found["uniform_value"]),
            "uniform_area": (("measure", "draw", "chain"), uniform_area),
            **_band("uniform_area_", ("measure",), uniform_area),
        }
        # A sum over the reasoning is no longer comparable once some of the reasoning has gone.
        whole = np.where(np.array(measures.comparable)[:, None], found["full"][:, 0], np.nan)[:, None, None]
        for name, without in (("comprehensiveness", "without"), ("sufficiency", "alone")):
            drop, uniform_drop = whole - found[without], whole - found[f"uniform_{without}"]
            variables |= {
                name: ((*many, "share", "chain"), drop),
                **self._summary(f"{name}_", many, drop.mean(axis=-2)),
                f"uniform_{name}": (("measure", "draw", "share", "chain"), uniform_drop),
                **_band(f"uniform_{name}_", ("measure",), uniform_drop.mean(axis=-2)),
            }
        return xr.Dataset(
            variables,
            coords={
                "measure": np.array(measures.names, dtype=object),
                "comparable": ("measure", np.array(measures.comparable)),
                "curve": np.array(CURVES, dtype=object),
                "estimator": result["estimator"].variable,
                "keep_ratio": np.array(self.keep_ratios, dtype=np.float64),
                "share": np.array(self.rationale_shares, dtype=np.float64),
                "draw": np.arange(self.n_uniform),
            },
            attrs={
                "confidence": self.confidence,
                "n_resamples": self.n_resamples,
                "n_uniform": self.n_uniform,
                "seed": self.seed,
                "interval": "BCa bootstrap of the mean, chains resampled",
            },
        )

    def _area(self, values: FloatArray) -> FloatArray:
        """Return the mean height of curves [..., keep_ratio, chain], [..., chain]."""
        width = self.keep_ratios[-1] - self.keep_ratios[0]
        area: FloatArray = trapezoid(values, self.keep_ratios, axis=-2) / width
        return area

    def _summary(self, prefix: str, dims: tuple[str, ...], values: FloatArray) -> dict[str, Any]:
        """Return mean and interval over the last dimension, the chains."""
        settings: dict[str, Any] = {"confidence": self.confidence, "n_resamples": self.n_resamples, "seed": self.seed}
        ends = zip(("mean", "low", "high"), mean_intervals(values, **settings), strict=True)
        return {f"{prefix}{name}": (dims, numbers) for name, numbers in ends}

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return areas, comprehensiveness and sufficiency, on the answer and per token."""
        return [faithfulness_table(result, measure) for measure in ("answer", "joint_per_token")]

    def figure(self, result: xr.DataTree) -> Figure:
        """Return both curves of every estimator with the band of random orders, on the answer and per token."""
        return draw_faithfulness(result)


class _Plan:
    """Versions of one chain, each once, and the tables that their numbers fill."""

    def __init__(self) -> None:
        self.versions: dict[Units, int] = {}
        self._tables: dict[str, Any] = {}

    def add(self, name: str, table: Any) -> None:
        """Ask for a table of versions: nested lists of units that are kept, or of ``None``."""
        self._tables[name] = np.array(self._indices(table), dtype=np.int64)

    def _indices(self, table: Any) -> Any:
        if isinstance(table, list):
            return [self._indices(entry) for entry in table]
        return _UNKNOWN if table is None else self.versions.setdefault(table, len(self.versions))

    def read(self, numbers: FloatArray) -> dict[str, FloatArray]:
        """Return the tables filled from [measure, version], [measure, ...]; NaN where there is no version."""
        padded = np.concatenate([numbers, np.full((len(numbers), 1), np.nan)], axis=1)
        return {name: padded[:, indices] for name, indices in self._tables.items()}


@dataclass(frozen=True, slots=True)
class _Measures:
    """What is read off a version of a chain."""

    objective: Objective

    @property
    def _own(self) -> bool:
        return self.objective.name not in {"answer", "joint"}

    @property
    def names(self) -> list[str]:
        """Names of the measures."""
        own = [self.objective.name] if self._own else []
        return ["answer", "answer_probability", "joint", "joint_per_token", *own]

    @property
    def comparable(self) -> list[bool]:
        """Whether each can be compared between versions of different length."""
        own = [Span.REASONING not in self.objective.spans] if self._own else []
        return [True, True, False, True, *own]

    def score(self, scorer: Scorer, chain: TokenizedChain, versions: dict[Units, int]) -> FloatArray:
        """Return the measures of versions of a chain, each given by the units it keeps, [measure, version]."""
        everything = range(len(chain.reasoning_ids))
        kept = [positions_of(chain, units) for units in versions]
        deleted = [sorted(set(everything).difference(positions)) for positions in kept]
        scores: DeletionScores = scorer.score_deletions(chain, list(everything), deleted, _AllSpans(self.objective))
        joint = scores.reasoning + scores.answer
        lengths = np.array([len(positions) + len(chain.answer_ids) for positions in kept])
        rows = [scores.answer, np.exp(scores.answer), joint, joint / lengths]
        return np.stack([*rows, scores.objective] if self._own else rows)


class _AllSpans(Objective):
    """An objective for which the likelihoods of reasoning and answer are computed as well."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self.name = objective.name  # type: ignore[misc] # of the class in others; here of the one that is wrapped
        self.spans = objective.spans | {Span.REASONING, Span.ANSWER}  # type: ignore[misc] # likewise

    def __call__(self, logprobs: LogprobTensors) -> torch.Tensor:
        """Return the wrapped objective's values, [version]."""
        return self._objective(logprobs)


def _most_important(order: DeletionOrder | None, count: int) -> Units | None:
    return None if order is None else order.most_important(count)


def _least_important(order: DeletionOrder | None, count: int) -> Units | None:
    return None if order is None else order.least_important(count)


def _band(prefix: str, dims: tuple[str, ...], values: FloatArray) -> dict[str, Any]:
    """Return mean, lowest and highest, over draws, of the means over chains of [measure, draw, ..., chain]."""
    means = values.mean(axis=-1)
    ends = {"mean": means.mean(axis=1), "low": means.min(axis=1), "high": means.max(axis=1)}
    return {f"{prefix}{name}": (dims, numbers) for name, numbers in ends.items()}
