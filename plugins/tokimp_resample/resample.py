"""The estimator `Resample`: what a unit changes in the answers that the model goes on to give."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.stats import false_discovery_control

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.chains.chain import TokenizedChain
from tokimp.chains.datasets.correctness import split_answer
from tokimp.contracts.constraints import Number, OneOf, Text, TrueOrFalse, WholeNumber
from tokimp.contracts.estimator import Importance
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.seeded import seeded_generator
from tokimp_resample.answers import AnswerCounts, WrittenText, successes
from tokimp_resample.continuations import beginnings
from tokimp_resample.noise_floor import (
    Measured,
    Statistic,
    js_divergence,
    kl_divergence,
    measure,
    share_difference,
    split_half,
)
from tokimp_resample.sampled import SAMPLING_CONSTRAINTS, FromContinuations, unanswered_share
from tokimp_resample.similarity import WORDS, check_encoder, first_unit, similarities, unit_texts
from tokimp_resample.unit_effects import share_gained, units_held
from tokimp_resample.unit_values import UnitValues

_FALSE_DISCOVERIES = 0.05


class Resample(FromContinuations):
    r"""Scores a unit by what it changes in the answers that the model goes on to give from there.

    Before each unit the model writes `rollouts` continuations to the end. ``A_i`` are the answers of those that are
    given the units before unit i, and ``A_{i+1}`` of those that are also given unit i (Bogdan et al. 2025, "Thought
    Anchors", arXiv 2506.19143).

    ==================  ========================================================================
    kind, measure       importance of unit i
    ==================  ========================================================================
    resampling, kl      ``KL(A_i || A_{i+1})``, nats
    resampling, js      their Jensen-Shannon divergence, nats, at most ln 2
    resampling,         how much larger the share of successes is in ``A_{i+1}`` than in ``A_i``
    accuracy
    counterfactual, kl  ``KL(D_i || A_{i+1} and the others of A_i)``: ``D_i`` are those of ``A_i``
                        whose first unit is not similar to unit i
    counterfactual, js  likewise
    counterfactual,     how much larger the share of successes is in ``A_{i+1}`` than in ``D_i``
    accuracy
    ==================  ========================================================================

    Two samples of the *same* distribution differ too, by about ``(K - 1) / rollouts`` nats for K answers. So each value
    has a permutation null, and by default its mean is taken off (`report`). Look at ``diagnostic_discoveries`` before
    anything is made of a chain's ranking. `measure_units` gives value, null and p-value of every unit.

    The work is ``n * rollouts`` continuations, each of about the rest of the chain; take sentences. The texts are
    shared with `pivotal`, and with other settings that sample alike; with `folder` they are kept on disk, as
    chains, and a run that was killed goes on with them.

    It differs from the authors' scripts. Smoothing is 1/2 where they add 1e-9, with which rare answers drown everything
    else. Answers are compared as the dataset's values are, no answer counts as one, and those that occur once in a
    chain are pooled. The accuracy of the counterfactual kind has the opposite sign, so that higher is more important.
    Units are similar by their words, unless an encoder is named. 20 continuations are written where they write 100, of
    at most twice the tokens that the chain has left where they allow 16,384. Beginnings are cut by position.

    `effects` are shares, not nats. ``effect(i, j)`` is how much larger the share of continuations that hold a unit
    similar to unit j is once unit i is given (the authors' step attribution); on the answer it is how much larger the
    share of those is that end with the chain's own answer. Continuations without unit i are all of those before it, or
    for the counterfactual kind those that begin otherwise. The authors' script takes a threshold of 0.7 here.

    Parameters
    ----------
    kind
        ``resampling`` or ``counterfactual``.
    measure
        ``kl``, ``js`` or ``accuracy``.
    report
        What the importance is. ``excess``: the value less the mean of its null. ``raw``: the value. ``margin``: how far
        the value's size is above the 95 % point of its null, with the value's sign; 0 for one below. ``evidence``:
        ``-ln p``, whatever the sign.
    smoothing
        What ``kl`` adds to each count, above 0.
    similarity
        ``words``, or the name of a model of sentence-transformers (``all-MiniLM-L6-v2``, the authors'), if that is
        installed.
    threshold
        Least similarity (cosine) of a first unit that counts as unit i in other words.
    last_unit
        ``zero``: the last unit scores 0, as in the source, where nothing comes after it. ``answer``: ``A_{n+1}``, what
        the model answers after the whole reasoning, is sampled too.
    success
        For ``accuracy``: ``gold``, the right answer, or ``answer``, the chain's own.
    least
        Fewest continuations on either side of a comparison. A unit with fewer scores 0, and is counted in
        ``diagnostic_without_value``.
    reshuffles
        How often answers are reshuffled for the null.
    rollouts
        How many continuations each beginning gets.
    temperature
        Divides the logits before a token is drawn.
    top_p
        Tokens are drawn from the nucleus: the fewest most likely ones that have at least this probability together.
    max_new_tokens
        The most tokens of a continuation; ``None`` is twice the tokens that the chain still has from there on, its
        answer included, and 16 more.
    seed
        Any whole number. The texts after a beginning depend on it, the chain's id and the beginning alone.
    folder
        A folder that keeps the continuations; memory keeps those of the last 256 chains otherwise.
    effects
        Whether to give also what each unit does to each later one and to the answer (`tokimp.effects`). It takes no
        further continuations, and units that are found in text: words or sentences, not tokens.
    """

    name = "resample"
    constraints = {
        "kind": OneOf("resampling", "counterfactual"),
        "measure": OneOf("kl", "js", "accuracy"),
        "report": OneOf("excess", "raw", "margin", "evidence"),
        "smoothing": Number(above=0),
        "similarity": Text("words, or the name of a model of sentence-transformers"),
        "threshold": Number(0, 1),
        "last_unit": OneOf("zero", "answer"),
        "least": WholeNumber(1),
        "reshuffles": WholeNumber(1),
        "effects": TrueOrFalse(),
        **SAMPLING_CONSTRAINTS,
    }

    def __init__(
        self,
        kind: str = "resampling",
        measure: str = "kl",
        *,
        report: str = "excess",
        smoothing: float = 0.5,
        similarity: str = WORDS,
        threshold: float = 0.8,
        last_unit: str = "zero",
        success: str = "gold",
        least: int = 10,
        reshuffles: int = 1000,
        rollouts: int = 20,
        temperature: float = 0.6,
        top_p: float = 0.95,
        max_new_tokens: int | None = None,
        folder: str | None = None,
        seed: int = 0,
        effects: bool = False,
    ) -> None:
        self.kind = kind
        self.measure = measure
        self.report = report
        self.smoothing = smoothing
        self.similarity = similarity
        self.threshold = threshold
        self.last_unit = last_unit
        self.success = success
        self.least = least
        self.reshuffles = reshuffles
        self.rollouts = rollouts
        self.temperature = temperature
        self.top_p = top_p
        self.max_new_tokens = max_new_tokens
        self.folder = folder
        self.seed = seed
        self.effects = effects

    @property
    def gives_effects(self) -> bool:
        """Whether effects were asked for."""
        return self.effects

    def validate_parameters(self) -> None:
        """Raise `EstimatorError` if a parameter is not allowed, or an encoder is not installed."""
        super().validate_parameters()
        check_encoder(self.similarity)

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return each unit's importance, [unit]; the objective is not looked at.

        The diagnostics: ``discoveries``, the units that differ from noise at a false discovery rate of 5 %;
        ``p_min``, the smallest p-value; ``null_mean`` and ``null_q95``, means over units of the null's mean and 95 %
        point; ``split_half``, the mean over units of how far two random halves of the continuations before a unit
        differ, which is noise; ``without_value``, the units that score 0 because there is nothing to compare;
        ``unanswered``, the share of continuations without an answer; and, for the counterfactual kind, ``different``
        and ``repeated``, means over units (see `UnitValues`). With effects, ``effect_noise`` is the mean standard error
        of an effect.

        Raises
        ------
        EstimatorError
            If a parameter is not allowed, or successes are asked for and the chain has no gold answer.
        """
        del objective
        self.validate_parameters()
        written = self._written(chain, scorer)
        units = self._measure(chain, written)
        has_value = ~np.isnan(units.value)
        scores = np.where(has_value, self._reported(units), 0.0)
        diagnostics = {
            "discoveries": float(units.is_discovery.sum()),
            "p_min": float(np.min(units.p[has_value], initial=1.0)),
            "null_mean": _mean(units.null_mean),
            "null_q95": _mean(units.null_q95),
            "split_half": _mean(units.split_half),
            "without_value": float(np.count_nonzero(~has_value)),
            "unanswered": units.unanswered,
        }
        if self.kind == "counterfactual":
            diagnostics |= {"different": _mean(units.different), "repeated": _mean(units.repeated)}
        if not self.effects:
            return Importance(scores, diagnostics=diagnostics)
        between, on_answer, noise = self._effects(chain, written)
        return Importance(
            scores, diagnostics=diagnostics | {"effect_noise": noise}, effects=between, effects_on_answer=on_answer
        )

    def measure_units(self, chain: TokenizedChain, scorer: Scorer) -> UnitValues:
        """Return the value of each unit, its permutation null and what it was made of."""
        self.validate_parameters()
        return self._measure(chain, self._written(chain, scorer))

    def _measure(self, chain: TokenizedChain, written: Sequence[Sequence[WrittenText]]) -> UnitValues:
        labels, n_labels = self._labels(chain, written)
        n_units, own = len(chain.units), unit_texts(chain)
        numbers = np.full((7, n_units), np.nan)
        compared = np.zeros((n_units, 2), dtype=np.int64)
        statistic = self._statistic()
        for unit in range(len(written) - 1):
            first, second = labels[unit], labels[unit + 1]
            if len(first) // 2 >= self.least:
                halving = seeded_generator(self.seed, chain.id, f"halves before unit {unit}")
                counts = np.bincount(first, minlength=n_labels)
                numbers[6, unit] = split_half(counts, statistic, halving, self.reshuffles)
            if self.kind == "counterfactual":
                begun, is_similar = self._begun(chain, written[unit], own[unit])
                if self.measure != "accuracy":
                    second = np.concatenate([second, first[is_similar]])
                first = first[~is_similar]
                numbers[4, unit] = 1 - is_similar.mean()
                numbers[5, unit] = 1 - len({" ".join(text.split()) for text in begun}) / len(begun)
            compared[unit] = len(first), len(second)
            if compared[unit].min() < self.least:
                continue
            before, after = (np.bincount(group, minlength=n_labels) for group in (first, second))
            generator = seeded_generator(self.seed, chain.id, f"reshuffles of unit {unit}")
            found: Measured = measure(before, after, statistic, generator, self.reshuffles)
            numbers[:4, unit] = found.value, found.null_mean, found.null_q95, found.p
        value, null_mean, null_q95, p, different, repeated, halves = numbers
        return UnitValues(
            value,
            null_mean,
            null_q95,
            p,
            is_discovery=_discoveries(p),
            compared=compared,
            different=different,
            repeated=repeated,
            split_half=halves,
            unanswered=unanswered_share(written),
        )

    def _effects(
        self, chain: TokenizedChain, written: Sequence[Sequence[WrittenText]]
    ) -> tuple[FloatArray, FloatArray, float]:
        """Return effects between units, [unit, unit], on the answer, [unit], and the mean standard error of both."""
        own = unit_texts(chain)
        held = units_held(written, chain, own, self.similarity, self.threshold)
        ends = [successes([text.value for text in after], chain.chain, "answer").astype(bool) for after in written]
        n_units = len(own)
        # The last column is the answer.
        effects, errors = np.zeros((2, n_units, n_units + 1))
        for unit in range(len(written) - 1):
            without, given = (np.column_stack([held[place], ends[place]]) for place in (unit, unit + 1))
            if self.kind == "counterfactual":
                without = without[~self._begun(chain, written[unit], own[unit])[1]]
            if min(len(without), len(given)) >= self.least:
                effects[unit], errors[unit] = share_gained(without, given)
        later = np.triu(np.ones((n_units, n_units + 1), dtype=bool), k=1)
        effects *= later
        return effects[:, :-1], effects[:, -1], float(errors[later].mean())

    def _begun(
        self, chain: TokenizedChain, after: Sequence[WrittenText], own: str
    ) -> tuple[list[str], npt.NDArray[np.bool_]]:
        """Return the first unit of each continuation, and whether it is similar to the chain's own, [rollout]."""
        firsts = {text: first_unit(text, chain, own).strip() for text in {text.reasoning for text in after}}
        begun = [firsts[text.reasoning] for text in after]
        return begun, similarities(begun, own.strip(), self.similarity) >= self.threshold

    def _beginnings(self, chain: TokenizedChain) -> list[tuple[int, ...]]:
        found = beginnings(chain)
        return found if self.last_unit == "answer" else found[:-1]

    def _labels(self, chain: TokenizedChain, written: Sequence[Sequence[WrittenText]]) -> tuple[list[IntArray], int]:
        """Return the answer that each continuation counts as, by beginning, and how many different ones there are."""
        values = {place: [text.value for text in after] for place, after in enumerate(written)}
        if self.measure == "accuracy":
            return [1 - successes(group, chain.chain, self.success) for group in values.values()], 2
        counts = AnswerCounts(values, split_answer(chain.chain.answer).kind)
        return [counts.labels[place] for place in values], counts.size

    def _statistic(self) -> Statistic:
        if self.measure == "accuracy":
            return share_difference
        return js_divergence if self.measure == "js" else partial(kl_divergence, smoothing=self.smoothing)

    def _reported(self, units: UnitValues) -> FloatArray:
        if self.report == "excess":
            return units.value - units.null_mean
        if self.report == "margin":
            return np.sign(units.value) * np.maximum(0.0, np.abs(units.value) - units.null_q95)
        return -np.log(units.p) if self.report == "evidence" else units.value


def _discoveries(p: FloatArray) -> npt.NDArray[np.bool_]:
    """Return whether each p-value is a discovery at a false discovery rate of 5 %, [unit]; NaN is none."""
    found = np.zeros(len(p), dtype=bool)
    there = ~np.isnan(p)
    if there.any():
        found[there] = false_discovery_control(p[there], method="bh") <= _FALSE_DISCOVERIES
    return found


def _mean(numbers: FloatArray) -> float:
    """Return the mean of what is not NaN; 0 if everything is."""
    there = numbers[~np.isnan(numbers)]
    return float(there.mean()) if len(there) else 0.0
