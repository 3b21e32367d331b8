"""Whether the answer survives noise that spares important units, and suffers from noise that spares the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from tokimp.analysis.against_chance.analysis import AgainstChance, ComparedChain, Texts
from tokimp.analysis.against_chance.answer_measures import ANSWER_MEASURES, as_measure
from tokimp.analysis.against_chance.comparison import Comparison
from tokimp.analysis.against_chance.conclusion import Panel
from tokimp.analysis.against_chance.orders import REFERENCES, STOPPED, ChainOrders, silent_cells, stopped_cells
from tokimp.analysis.soft_faithfulness.soft_scores import noise, perturbed, soft_scores
from tokimp.analysis.statistics.intervals import SHARE
from tokimp.analysis.statistics.rank_measures import normalised_ranks
from tokimp.chains.arrays import FloatArray
from tokimp.chains.units import token_units
from tokimp.contracts.analysis import AnalysisInput
from tokimp.contracts.constraints import ListOf, Number, OneOf, WholeNumber
from tokimp.contracts.objective import Answer
from tokimp.contracts.scorer import Capability
from tokimp.results.by_chain import iterate, unit_scores

STAND_INS = ("zero", "mean")
SIDES = ("soft_sufficiency", "soft_comprehensiveness")
NO_SCALE = "its units cannot be scaled: there is one, or all are equally important"
NO_HELP = "the answer is as likely without the embeddings"


class SoftFaithfulness(AgainstChance):
    """Soft normalised sufficiency and comprehensiveness: units are not taken away, they fade.

    Every coordinate of the embedding of a reasoning token is dropped at random. For sufficiency it stays with a
    probability that is the importance of its unit, scaled to 0 to 1; for comprehensiveness it goes with that
    probability. Positions and the tokens that are predicted stay. With p the probability of the answer on the full
    input, p' and p'' those of the two perturbed ones, and p0 that of an input without any embedding of the reasoning:

    - ``soft_sufficiency``: 1 - max(0, p - p') / (p - p0);
    - ``soft_comprehensiveness``: max(0, p - p'') / (p - p0);

    both cut at 0 and 1, high is good. ``soft_scores`` has the published form, which is the same. The definition is that
    of Zhao and Aletras, "Incorporating Attribution Importance for Improving Faithfulness Metrics" (arXiv 2305.10496),
    for a classifier; their published code has the two sides the wrong way round in one place (casszhao/SoftFaith,
    cec6883), and draws once.

    Chains on which p0 comes closer to p than `narrowest` have no value, and are counted.

    Parameters
    ----------
    stand_ins
        What a dropped coordinate becomes: ``zero``, or that of the ``mean`` embedding of the chain's reasoning tokens.
    scaling
        How importance becomes a probability: ``rank`` (0 for the least important unit, 1 for the most, ties share their
        mean), which makes estimators comparable; or ``min_max``, which keeps how far apart units are. Position and
        random orders have ranks in either case.
    measure
        ``answer_token_probability`` (the geometric mean over the answer's tokens) or ``answer_probability``, which is
        close to 0 for a long answer whatever its reasoning.
    n_draws
        How often noise is drawn; the scores are means over draws. Each costs two passes for each order.
    narrowest
        The smallest difference of p and p0 at which a chain counts.
    n_uniform
        Number of random orders of each chain; at least 1.
    confidence
        Confidence of the intervals over chains.
    seed
        Seed of noise, random orders and ties.
    tie_threshold, tie_estimators
        Importances of these estimators are cut to whole multiples of so many nats towards 0 first; see
        `tokimp.results.ties.tie`. 0 cuts nothing.
    """

    name = "soft_faithfulness"
    requires = frozenset({Capability.GRADIENTS})
    constraints = {
        "stand_ins": ListOf(OneOf(*STAND_INS), fewest=1, distinct=True),
        "scaling": OneOf("rank", "min_max"),
        "measure": OneOf("answer_token_probability", "answer_probability"),
        "n_draws": WholeNumber(1),
        "narrowest": Number(0),
        **REFERENCES,
    }
    panels = (
        Panel("Soft-NS", {"side": "soft_sufficiency"}, "high"),
        Panel("Soft-NC", {"side": "soft_comprehensiveness"}, "high"),
    )

    def __init__(
        self,
        *,
        stand_ins: Sequence[str] = STAND_INS,
        scaling: str = "rank",
        measure: str = "answer_token_probability",
        n_draws: int = 10,
        narrowest: float = 0.01,
        n_uniform: int = 5,
        confidence: float = 0.95,
        seed: int = 0,
        tie_threshold: float = 0.0,
        tie_estimators: Sequence[str] = (),
    ) -> None:
        super().__init__(n_uniform, confidence, seed, tie_threshold, tie_estimators)
        self.stand_ins = stand_ins
        self.scaling = scaling
        self.measure = measure
        self.n_draws = n_draws
        self.narrowest = narrowest

    def _compute(self, inputs: AnalysisInput, result: xr.DataTree) -> xr.Dataset:
        """Return the node ``/analysis/soft_faithfulness``, as ``docs/schema.md`` describes it."""
        arrays, all_orders = self._ask(inputs, result, self._scores)
        return self._node(result, arrays, all_orders)

    def _shares(self, scores: FloatArray, orders: ChainOrders) -> FloatArray:
        """Return how probably each unit stays, from 0 to 1, [row, unit]; NaN where that is not known."""
        n_units = scores.shape[1]
        shares = np.full((len(orders.rows), n_units), np.nan)
        for row, order in enumerate(orders.whole_rows):
            if order is None:
                continue
            if row < len(scores):
                shares[row] = self._scaled(scores[row])
            else:
                places = np.empty(n_units)
                places[order.units] = np.arange(n_units)
                shares[row] = normalised_ranks(places)
        return shares

    def _scaled(self, scores: FloatArray) -> FloatArray:
        if self.scaling == "rank":
            return normalised_ranks(scores)
        lowest, width = scores.min(), np.ptp(scores)
        return (scores - lowest) / width if width > 0 else np.full(len(scores), np.nan)

    def _scores(self, compared: ComparedChain) -> dict[str, FloatArray]:
        """Return the scores [stand-in, side, row] of one chain, and p and p0, [stand-in] each."""
        scorer, chain = compared.scorer, compared.chain
        shares = self._shares(unit_scores(compared.stored), compared.orders)
        embeddings, _ = scorer.embedding_gradients(chain, Answer())
        unit_of_token = token_units(chain)

        def probability(stand_ins: FloatArray) -> float:
            loglikelihood = np.array(scorer.objective_value(chain, Answer(), stand_ins))
            return float(as_measure(loglikelihood, self.measure, len(chain.answer_ids)))

        full = probability(embeddings)
        known = ~np.isnan(shares).any(axis=1)
        # Orders that coincide, as they often do in chains of few units, are asked about once.
        distinct, row_of = np.unique(shares[known], axis=0, return_inverse=True)
        found = np.full((len(self.stand_ins), len(SIDES), len(shares)), np.nan)
        without = np.zeros(len(self.stand_ins))
        for index, name in enumerate(self.stand_ins):
            stand_in = embeddings.mean(axis=0) if name == "mean" else np.zeros_like(embeddings[0])
            without[index] = probability(np.broadcast_to(stand_in, embeddings.shape))
            if not self._counts(full - without[index]):
                continue
            probabilities = np.zeros((len(SIDES), self.n_draws, len(distinct)))
            for draw in range(self.n_draws):
                drawn = noise(chain.id, draw, embeddings.shape, self.seed)
                for column, unit_shares in enumerate(distinct):
                    versions = perturbed(embeddings, stand_in, unit_shares[unit_of_token], drawn)
                    probabilities[:, draw, column] = [probability(version) for version in versions]
            scores = soft_scores(np.array(full), without[index], *probabilities)
            found[index][:, known] = np.stack(scores).mean(axis=1)[:, row_of.ravel()]
        return {"score": found, "full": np.array(full), "without": without}

    def _counts(self, there: Any) -> Any:
        """Return whether the embeddings make enough of a difference to the probability of the answer."""
        return (there >= self.narrowest) & (there > 0)

    def _node(
        self, result: xr.DataTree, arrays: dict[str, FloatArray], all_orders: Sequence[ChainOrders]
    ) -> xr.Dataset:
        """Return the node from the arrays of `_scores`, stacked along a last dimension, the chains."""
        n_estimators = result.sizes["estimator"]
        all_shares = [
            self._shares(unit_scores(stored), orders)[:n_estimators]
            for (_, stored), orders in zip(iterate(result), all_orders, strict=True)
        ]
        return self._compared_node(
            result,
            Comparison.of_rows(arrays["score"], n_estimators),
            {"operator": self.stand_ins, "side": SIDES},
            ("side", ["high", "high"]),
            is_silent=silent_cells(all_orders),
            reasons={
                STOPPED: stopped_cells(all_orders),
                NO_SCALE: np.array([np.isnan(shares).any(axis=1) for shares in all_shares]).T,
                NO_HELP: ~self._counts(arrays["full"] - arrays["without"])[:, None, None],
            },
            bounds=SHARE,
            variables={"full": ("chain", arrays["full"]), "without": (("operator", "chain"), arrays["without"])},
            attrs={"measure": self.measure},
        )

    def texts(self, node: xr.Dataset) -> Texts:
        """Name what is replaced, and the measure."""
        return Texts(
            title=f"Coordinates of embeddings replaced, {ANSWER_MEASURES[node.attrs['measure']]}",
            note="soft sufficiency and comprehensiveness, coordinates replaced",
        )
