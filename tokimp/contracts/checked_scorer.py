"""A scorer whose answers are checked where they enter: estimators and analyses get what the contract promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, SupportsFloat

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Objective
from tokimp.contracts.plugin_output import array_problem, described, plugin_code
from tokimp.contracts.scorer import AttentionWeights, Capability, DeletionScores, Scorer, SpanLogprobs
from tokimp.errors import ScorerError, TokimpError


class CheckedScorer(Scorer):
    """Passes every question on to a scorer, and checks the types and shapes of its answers.

    A scorer may be anybody's code. An answer that breaks the contract (a tensor, ``None``, one score for many
    candidates) is a `ScorerError` that names the scorer, the chain, and what was expected. Numbers are passed on as
    they are. Everything else that the scorer has, it has too.

    Parameters
    ----------
    scorer
        The scorer to ask.
    """

    def __init__(self, scorer: Scorer) -> None:
        object.__setattr__(self, "_scorer", scorer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scorer, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._scorer, name, value)

    @property
    def capabilities(self) -> frozenset[Capability]:  # type: ignore[override] # a class attribute of scorers
        """What the scorer can be asked for."""
        return self._scorer.capabilities

    @property
    def tokens_forwarded(self) -> int:  # type: ignore[override] # an attribute of scorers
        """Token positions that the scorer has passed through its model."""
        return self._scorer.tokens_forwarded

    def fingerprint(self) -> str:
        """Return the scorer's digest."""
        return self._scorer.fingerprint()

    def logprobs(self, chains: Sequence[TokenizedChain]) -> list[SpanLogprobs]:
        """Return the log-probabilities, one entry a chain, of an array a span."""
        where = _where(chains[0]) if len(chains) == 1 else f"{len(chains)} chains"
        scored = self._ask(where, "logprobs", chains)
        if not isinstance(scored, Sequence) or len(scored) != len(chains):
            self._refuse(where, "logprobs", f"{described(scored)}; a list of {len(chains)} SpanLogprobs was expected")
        for chain, spans in zip(chains, scored, strict=True):
            if not isinstance(spans, SpanLogprobs):
                self._refuse(_where(chain), "logprobs", f"a list with {described(spans)}; SpanLogprobs were expected")
            for span, ids in (("reasoning", chain.reasoning_ids), ("answer", chain.answer_ids)):
                self._check(_where(chain), "logprobs", span, getattr(spans, span), (len(ids),), "one number a token")
        return list(scored)

    def score_deletions(
        self, chain: TokenizedChain, kept: Sequence[int], candidates: Sequence[Sequence[int]], objective: Objective
    ) -> DeletionScores:
        """Return the scores, one entry a candidate."""
        scores = self._ask(_where(chain), "score_deletions", chain, kept, candidates, objective)
        if not isinstance(scores, DeletionScores):
            self._refuse(_where(chain), "score_deletions", f"{described(scores)}; DeletionScores were expected")
        for name in ("objective", "reasoning", "answer"):
            values = getattr(scores, name)
            self._check(_where(chain), "score_deletions", name, values, (len(candidates),), "one score a candidate")
        return scores

    def deletion_scores(
        self, chain: TokenizedChain, kept: Sequence[int], candidates: Sequence[Sequence[int]], objective: Objective
    ) -> FloatArray:
        """Return the objectives, one a candidate."""
        scores = self._ask(_where(chain), "deletion_scores", chain, kept, candidates, objective)
        return self._check(_where(chain), "deletion_scores", "", scores, (len(candidates),), "one score a candidate")

    def deletion_logprobs(
        self,
        chain: TokenizedChain,
        kept: Sequence[int],
        candidates: Sequence[Sequence[int]],
        *,
        until: int | None = None,
    ) -> FloatArray:
        """Return the log-probabilities, one row a candidate."""
        logprobs = self._ask(_where(chain), "deletion_logprobs", chain, kept, candidates, until=until)
        shape = (len(candidates), len(kept) + len(chain.answer_ids))
        return self._check(_where(chain), "deletion_logprobs", "", logprobs, shape, "one row a candidate")

    def score_knockouts(
        self, chain: TokenizedChain, hidden: Sequence[Sequence[int]], objective: Objective
    ) -> FloatArray:
        """Return the objectives, one a knockout."""
        scores = self._ask(_where(chain), "score_knockouts", chain, hidden, objective)
        return self._check(_where(chain), "score_knockouts", "", scores, (len(hidden),), "one score a knockout")

    def attention(
        self,
        chain: TokenizedChain,
        *,
        weights: AttentionWeights = "pattern",
        layers: Sequence[int] | None = None,
        reduce: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> FloatArray:
        """Return the attention, one entry a layer."""
        options = {"weights": weights, "layers": layers, "reduce": reduce}
        attention = self._ask(_where(chain), "attention", chain, **options)
        n_layers = None if layers is None else len(layers)
        # What `reduce` makes of a layer has a shape of its own.
        rest = np.shape(attention)[1:] if reduce is not None else (None, len(chain), len(chain))
        entries = "one entry a layer" if reduce is not None else "[layer, head, query, key]"
        return self._check(_where(chain), "attention", "", attention, (n_layers, *rest), entries)

    def embedding_gradients(
        self, chain: TokenizedChain, objective: Objective, reasoning_embeddings: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return embeddings and gradients, one row a reasoning token."""
        where, method = _where(chain), "embedding_gradients"
        both = self._ask(where, method, chain, objective, reasoning_embeddings)
        if not isinstance(both, tuple) or len(both) != 2:
            self._refuse(where, method, f"{described(both)}; embeddings and gradients were expected, a tuple of two")
        for name, values in zip(("embeddings", "gradients"), both, strict=True):
            self._check(where, method, name, values, (len(chain.reasoning_ids), None), "one row a reasoning token")
        return both[0], both[1]

    def objective_value(
        self, chain: TokenizedChain, objective: Objective, reasoning_embeddings: FloatArray | None = None
    ) -> float:
        """Return the objective as a number."""
        value = self._ask(_where(chain), "objective_value", chain, objective, reasoning_embeddings)
        if not isinstance(value, SupportsFloat) or np.ndim(value):  # type: ignore[arg-type] # any object has a ndim
            self._refuse(_where(chain), "objective_value", f"{described(value)}; one number was expected")
        return float(value)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int = 256,
        n: int = 1,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[list[str]]:
        """Return the continuations, `n` texts a prompt."""
        options = {"max_new_tokens": max_new_tokens, "n": n, "temperature": temperature, "seed": seed}
        where = f"{len(prompts)} prompts"
        texts = self._ask(where, "generate", prompts, **options)
        fits = isinstance(texts, list) and len(texts) == len(prompts)
        if not fits or not all(
            isinstance(row, list) and len(row) == n and all(isinstance(text, str) for text in row) for row in texts
        ):
            shown = described(texts) if not fits else "other rows"
            self._refuse(where, "generate", f"{shown}; a list of {len(prompts)} lists of {n} texts each was expected")
        return list(texts)

    def _ask(self, where: str, method: str, *arguments: Any, **options: Any) -> Any:
        with plugin_code(f"{where}: {self._name()}, asked for {method},", ScorerError, passed_on=TokimpError):
            return getattr(self._scorer, method)(*arguments, **options)

    def _check(  # noqa: PLR0917 - said in the order of the message
        self, where: str, method: str, part: str, value: Any, shape: Sequence[int | None], entries: str
    ) -> FloatArray:
        if problem := array_problem(value, shape, entries):
            self._refuse(where, method, f"as {part}, {problem}" if part else problem)
        checked: FloatArray = value
        return checked

    def _refuse(self, where: str, method: str, problem: str) -> NoReturn:
        raise ScorerError(f"{where}: {self._name()}, asked for {method}, returned {problem}")

    def _name(self) -> str:
        return f"the scorer {getattr(self._scorer, 'backend', type(self._scorer).__name__)!r}"


def _where(chain: TokenizedChain) -> str:
    return chain.chain.where
