"""Suppression: a reasoning unit is important when later predictions move once nothing can attend to it."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import Number, OneOf, TrueOrFalse
from tokimp.contracts.estimator import Importance, ImportanceEstimator, sum_over_units
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer

__all__ = ["Suppression", "suppression_matrix"]

TARGETS = ("reasoning", "answer", "all")
MEASURES = ("divergence", "logprob")


class Suppression(ImportanceEstimator):
    """Scores a unit by how much later predictions move when nothing can attend to it; the objective is not used.

    For a source unit i, the attention to its tokens is cut in every layer and head, for all queries, its own tokens
    among them. For each later unit j, ``M[j, i]`` is the mean of ``ln KL(prediction || prediction under the cut)`` over
    the positions that predict the tokens of j. Each row j is centred on its mean over the sources i < j, because some
    units move more than others whatever is cut. ``importance(i)`` is the mean of its column over j > i: relative, on a
    logarithmic scale, and of either sign.

    This is the attention suppression of Bogdan et al. 2025 ("Thought anchors", arXiv 2506.19143), made for sentences.
    The mean of a column is taken here; they plot and correlate the matrix. Deviations: the positions are those that
    predict j's tokens (theirs are j's own, one later), the KL is over the whole vocabulary (theirs over stored
    nuclei of at most 100 tokens), and a KL below `floor` counts as `floor`, since rounding in float32 leaves about
    1e-7, whose logarithm would look like structure.

    With n units it takes n passes over the full chain, and one more for each batch of them. Where no unit comes
    later, there is nothing to move: the last unit's score is 0 unless the answer counts, and a chain's second unit
    has one source, which is centred to 0.

    Parameters
    ----------
    targets
        ``reasoning``: later units. ``answer``: the answer, as one more unit after the last, and nothing else. ``all``:
        both.
    measure
        ``divergence``: ``M[j, i]`` is the mean of ``ln KL(prediction || prediction under the cut)``, centred over i.
        ``logprob``: it is the mean of ``log P(token) - log P(token under the cut)`` over the tokens of j, in nats,
        without logarithm or centring: positive where cutting i makes j less likely.
    temperature
        Divides the logits of both predictions; for ``divergence``.
    floor
        The least KL that is told from 0, nats.
    effects
        With ``measure=logprob``, whether to give also what each unit does to each later one and to the answer
        (`tokimp.effects`, the analysis ``effects``): the same losses, summed over tokens. They cost nothing more.

    Examples
    --------
    >>> from tokimp.contracts.objective import Joint
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> scorer = AdditiveScorer({"a": 1.0, "b": 0.1})  # cutting a token moves what follows by its size
    >>> Suppression().estimate(toy_chain("abcc"), scorer, Joint()).scores.round(2).tolist()
    [2.23, 1.04, -8.78, 0.0]
    """

    name = "suppression"
    requires = frozenset({Capability.KNOCKOUT_LOGPROBS})
    constraints = {
        "targets": OneOf(*TARGETS),
        "measure": OneOf(*MEASURES),
        "temperature": Number(above=0),
        "floor": Number(above=0),
        "effects": TrueOrFalse(),
    }

    def __init__(
        self,
        targets: Literal["reasoning", "answer", "all"] = "reasoning",
        measure: Literal["divergence", "logprob"] = "divergence",
        temperature: float = 0.6,
        floor: float = 1e-6,
        effects: bool = False,
    ) -> None:
        self.targets = targets
        self.measure = measure
        self.temperature = temperature
        self.floor = floor
        self.effects = effects

    @property
    def gives_effects(self) -> bool:
        """Whether effects were asked for."""
        return self.effects

    def validate_parameters(self) -> None:
        """Raise `EstimatorError` if a parameter is not allowed, or effects are to be those of divergences."""
        super().validate_parameters()
        if self.effects and self.measure != "logprob":
            raise self.invalid_parameter("effects", "false, or measure=logprob: effects are log-probabilities lost")

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return the mean effect of each unit on later ones, [unit]; `objective` is not used.

        The diagnostic ``units_without_targets`` counts the units that have nothing to move and get 0; ``at_floor``, for
        ``divergence``, is the share of tokens after a unit whose prediction moved by no more than `floor`.

        Raises
        ------
        EstimatorError
            If a parameter is not allowed.
        """
        self.validate_parameters()
        moved, diagnostics = self._moved(chain, scorer)
        matrix = suppression_matrix(chain, moved, centred=self.measure == "divergence")
        rows = {"reasoning": matrix[:-1], "answer": matrix[-1:], "all": matrix}[self.targets]
        counted = (~np.isnan(rows)).sum(axis=0)
        scores = np.where(counted > 0, np.nansum(rows, axis=0) / np.maximum(counted, 1), 0.0)
        diagnostics |= {"units_without_targets": float((counted == 0).sum())}
        if not self.effects:
            return Importance(scores, diagnostics=diagnostics)
        lost = sum_over_units(chain, moved[:, : len(chain.reasoning_ids)])
        on_answer = moved[:, len(chain.reasoning_ids) :].sum(axis=1)
        return Importance(scores, diagnostics=diagnostics, effects=np.triu(lost, k=1), effects_on_answer=on_answer)

    def _moved(self, chain: TokenizedChain, scorer: Scorer) -> tuple[FloatArray, dict[str, float]]:
        """Return how far each unit moves each token, [unit, reasoning + answer token], and diagnostics."""
        if self.measure == "logprob":
            *hidden, whole = scorer.knockout_logprobs(chain, [*chain.units, ()], queries="all")
            return np.float64(whole) - np.asarray(hidden, dtype=np.float64), {}
        found = scorer.knockout_divergences(chain, chain.units, queries="all", temperature=self.temperature)
        # The first token that a unit can move is the one after its first.
        after = np.arange(found.shape[1]) > np.array([[unit[0]] for unit in chain.units])
        diagnostics = {"at_floor": float((found <= self.floor)[after].mean())}
        return np.log(np.maximum(found.astype(np.float64), self.floor)), diagnostics


def suppression_matrix(chain: TokenizedChain, moved: FloatArray, *, centred: bool) -> FloatArray:
    """Return the mean effect of each unit on each later one, [target, source]; the answer is the last target.

    Parameters
    ----------
    chain
        The chain.
    moved
        How far cutting each unit moves the prediction of each token, [source, reasoning + answer token].
    centred
        Whether each target's mean over its sources is subtracted.

    Returns
    -------
    FloatArray
        [unit + 1, unit], NaN where the target is not after the source.
    """
    count = len(chain.reasoning_ids)
    targets = [list(unit) for unit in chain.units] + [list(range(count, count + len(chain.answer_ids)))]
    matrix = np.stack([moved[:, tokens].mean(axis=1) for tokens in targets])
    later = np.tri(len(targets), len(chain.units), -1, dtype=bool)
    if centred:
        sources = later.sum(axis=1, keepdims=True)
        matrix = matrix - np.where(later, matrix, 0).sum(axis=1, keepdims=True) / np.maximum(sources, 1)
    return np.where(later, matrix, np.nan)
