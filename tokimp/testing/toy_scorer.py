"""A scorer in closed form, whose true importances are known, and chains for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.chains.datasets.correctness import split_answer
from tokimp.contracts.objective import Joint, LogprobTensors, Objective, Span
from tokimp.contracts.registry import load_unit
from tokimp.contracts.scorer import Capability, DeletionScores, SpanEntropies, SpanLogprobs
from tokimp.contracts.scorer_inside import AttentionWeights
from tokimp.contracts.unit_splitter import divide
from tokimp.testing.toy_inside import AdditiveInside


class CharacterTokenizer:
    """Every character is a token, and its code point is the id."""

    def encode(self, text: str) -> list[int]:
        """Return one id a character."""
        return [ord(character) for character in text]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text that `encode` gives these ids for."""
        return "".join(chr(i) for i in ids)


def toy_chain(
    reasoning: str,
    *,
    question: str = "?",
    answer: str = "!",
    wrong_answer: str | None = None,
    unit: str = "token",
    id: str = "toy",  # noqa: A002 - the name of the field it fills
) -> TokenizedChain:
    """Return a chain whose tokens are its characters.

    Parameters
    ----------
    reasoning, question, answer, wrong_answer, id
        The chain's fields.
    unit
        The name of a unit, such as ``word``.

    Examples
    --------
    >>> toy_chain("ab c.", unit="word").units
    ((0, 1), (2, 3, 4))
    """
    encode = CharacterTokenizer().encode
    parts = split_answer(answer)
    value = (len(parts.opening), len(parts.opening) + len(parts.value))
    offsets = tuple((i, i + 1) for i in range(len(reasoning)))
    tokens = TokenizedChain(
        chain=Chain(id=id, question=question, reasoning=reasoning, answer=answer, wrong_answer=wrong_answer),
        prompt_ids=tuple(encode(question)),
        reasoning_ids=tuple(encode(reasoning)),
        answer_ids=tuple(encode(answer)),
        reasoning_offsets=offsets,
        units=tuple((position,) for position in range(len(offsets))),
        wrong_answer_ids=None if wrong_answer is None else tuple(encode(wrong_answer)),
        answer_value=value if parts.value else None,
    )
    return divide(tokens, load_unit(unit))


class AdditiveScorer(AdditiveInside):
    """A language model whose true importances are known: each reasoning token adds its own share to the answer.

    The numbers, in nats:

    - log P(answer | kept reasoning) = `answer_base` + the sum of the kept tokens' `contributions`, spread evenly over
      the answer's tokens. A result refuses one above 0, so `answer_base` has to lie below the sum of what is positive.
    - log P(reasoning token) = `reasoning_logprob`, whatever precedes it. So is that of a wrong answer's token.
    - The entropy that a token is predicted with is its surprisal plus the size of the contribution of the token before
      it. No token is more likely than the one that stands there.
    - A token's embedding is ``(contribution, 1)``. The answer's log-likelihood is linear in it, with the gradient
      ``(1, 0)``, so gradient x input and integrated gradients from zero both give exactly the contribution. Override
      `answer_loglik` for the deletions, values and gradients of another function.
    - Attention of two layers of two heads: a head with scale s attends to each token it may see in proportion to
      ``exp(s * contribution)``, with s = 0, 1 in the first layer and 2, -1 in the second. A token's value vector has
      the norm ``1 + |contribution|``. A subclass may override `pattern`.

    Leave-one-out is therefore the contribution (objective ``answer``) or the contribution plus `reasoning_logprob`
    (``joint``), and greedy pruning deletes in ascending order of it. Attention knockout is the
    contribution with either. `AdditiveInside` says how far a knockout moves a prediction.

    Parameters
    ----------
    contributions
        What each token adds to the answer's log-likelihood, by its text.
    default
        What a token adds that `contributions` does not name.
    answer_base, reasoning_logprob
        As above, in nats.

    Examples
    --------
    >>> scorer = AdditiveScorer({"a": 0.5, "b": 2.0}, answer_base=-4.0)
    >>> scorer.logprobs([toy_chain("ab")])[0].answer.tolist()
    [-1.5]
    """

    capabilities = frozenset(Capability) - {Capability.GENERATION}
    backend = "closed form"
    device = "cpu"
    dtype = "float64"
    context_length = None
    reads_alone = True
    d_model = 2
    attention_scales: tuple[tuple[float, ...], ...] = ((0.0, 1.0), (2.0, -1.0))

    def __init__(
        self,
        contributions: Mapping[str, float] | None = None,
        *,
        default: float = 0.0,
        answer_base: float = -10.0,
        reasoning_logprob: float = -1.0,
    ) -> None:
        self.contributions = dict(contributions or {})
        self.default = default
        self.answer_base = answer_base
        self.reasoning_logprob = reasoning_logprob
        self.tokenizer = CharacterTokenizer()
        self.model_id = type(self).__name__
        self.tokens_forwarded = 0

    def fingerprint(self) -> str:
        """Return a digest of the class and its parameters."""
        parameters = (sorted(self.contributions.items()), self.default, self.answer_base, self.reasoning_logprob)
        return sha256(f"{type(self).__qualname__} {parameters}".encode()).hexdigest()

    def contribution(self, ids: Iterable[int]) -> torch.Tensor:
        """Return what each of some tokens adds to the answer's log-likelihood, [token], float64, nats."""
        texts = [self.tokenizer.decode([i]) for i in ids]
        return torch.tensor([self.contributions.get(text, self.default) for text in texts], dtype=torch.float64)

    def embed(self, ids: Sequence[int]) -> torch.Tensor:
        """Return the tokens' embeddings, [token, 2], float64."""
        return torch.stack([self.contribution(ids), torch.ones(len(ids), dtype=torch.float64)], dim=1)

    def answer_loglik(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return log P(answer | reasoning tokens with these embeddings), a scalar; differentiable."""
        return self.answer_base + embeddings[:, 0].sum()

    def _evaluate(
        self, chain: TokenizedChain, kept: Sequence[int], objective: Objective, embeddings: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, LogprobTensors]:
        """Return the objective of one version of a chain, a scalar, and what it was made of."""
        if embeddings is None:
            embeddings = self.embed([chain.reasoning_ids[position] for position in kept])
        objective.check(chain)
        self.tokens_forwarded += len(chain.prompt_ids) + len(kept) + len(chain.answer_ids)
        wrong_answer = None
        if Span.WRONG_ANSWER in objective.spans and chain.wrong_answer_ids is not None:
            wrong_answer = torch.full((1, len(chain.wrong_answer_ids)), self.reasoning_logprob, dtype=torch.float64)
            self.tokens_forwarded += len(chain.prompt_ids) + len(kept) + len(chain.wrong_answer_ids)
        logprobs = LogprobTensors(
            reasoning=torch.full((1, len(kept)), self.reasoning_logprob, dtype=torch.float64),
            answer=(self.answer_loglik(embeddings) / len(chain.answer_ids)).expand(1, len(chain.answer_ids)),
            wrong_answer=wrong_answer,
            answer_value=chain.answer_value,
        )
        return objective.evaluate(logprobs)[0], logprobs

    def logprobs(self, chains: Sequence[TokenizedChain]) -> list[SpanLogprobs]:
        """Return the log-probabilities of every chain's reasoning and answer tokens."""
        spans = []
        for chain in chains:
            self.tokens_forwarded += len(chain)
            answer = float(self.answer_loglik(self.embed(chain.reasoning_ids))) / len(chain.answer_ids)
            spans.append(
                SpanLogprobs(
                    reasoning=np.full(len(chain.reasoning_ids), self.reasoning_logprob, dtype=np.float32),
                    answer=np.full(len(chain.answer_ids), answer, dtype=np.float32),
                )
            )
        return spans

    def entropies(self, chains: Sequence[TokenizedChain]) -> list[SpanEntropies]:
        """Return the entropy of every reasoning and answer token: its surprisal and the size of what precedes it."""
        entropies = []
        for chain, spans in zip(chains, self.logprobs(chains), strict=True):
            first, stop = chain.reasoning_span
            before = self.contribution(chain.input_ids).abs().numpy().astype(np.float32)[first - 1 : -1]
            surprisal = np.maximum(0, -np.concatenate([spans.reasoning, spans.answer]))
            reasoning, answer = np.split(surprisal + before, [stop - first])
            ranks = [np.zeros(len(ids), dtype=np.int64) for ids in (chain.reasoning_ids, chain.answer_ids)]
            entropies.append(SpanEntropies(spans, reasoning, answer, *ranks))
        return entropies

    def score_deletions(
        self,
        chain: TokenizedChain,
        kept: Sequence[int],
        candidates: Sequence[Sequence[int]],
        objective: Objective,
    ) -> DeletionScores:
        """Score the chain as it would be after each of several deletions, each from scratch."""
        rows = []
        for candidate in candidates:
            if not set(candidate) <= set(kept):
                raise ValueError(f"the candidate {list(candidate)} is no subset of what is kept, {list(kept)}")
            left = [position for position in kept if position not in set(candidate)]
            value, logprobs = self._evaluate(chain, left, objective)
            rows.append([float(value), float(logprobs.reasoning.sum()), float(logprobs.answer.sum())])
        columns = np.array(rows, dtype=np.float64).reshape(-1, 3).T.copy()
        return DeletionScores(objective=columns[0], reasoning=columns[1], answer=columns[2])

    def score_masks(
        self, chain: TokenizedChain, masked: Sequence[Sequence[int]], replacement: int, objective: Objective
    ) -> DeletionScores:
        """Score the chain with tokens replaced: the answer gets what the replacement adds in place of what they add."""
        everything, rows = range(len(chain.reasoning_ids)), []
        for positions in masked:
            gone = set(positions)
            if len(gone) < len(positions) or not gone <= set(everything):
                raise ValueError(f"{list(positions)} are not positions of the {len(everything)} reasoning tokens")
            ids = [replacement if position in gone else chain.reasoning_ids[position] for position in everything]
            left = [position for position in everything if position not in gone]
            value, logprobs = self._evaluate(chain, left, objective, self.embed(ids))
            self.tokens_forwarded += len(gone)
            rows.append([float(value), float(logprobs.reasoning.sum()), float(logprobs.answer.sum())])
        columns = np.array(rows, dtype=np.float64).reshape(-1, 3).T.copy()
        return DeletionScores(objective=columns[0], reasoning=columns[1], answer=columns[2])

    def deletion_logprobs(
        self,
        chain: TokenizedChain,
        kept: Sequence[int],
        candidates: Sequence[Sequence[int]],
        *,
        until: int | None = None,
    ) -> FloatArray:
        """Return the log-probability of every token left after each deletion, each from scratch, and whole."""
        left_over = np.full((len(candidates), len(kept) + len(chain.answer_ids)), np.nan)
        for row, candidate in zip(left_over, candidates, strict=True):
            left = [position for position in kept if position not in set(candidate)]
            _, logprobs = self._evaluate(chain, left, Joint())
            row[np.searchsorted(kept, left)], row[len(kept) :] = logprobs.reasoning[0], logprobs.answer[0]
        return left_over

    def score_knockouts(
        self, chain: TokenizedChain, hidden: Sequence[Sequence[int]], objective: Objective
    ) -> FloatArray:
        """Return the objective when the answer gets nothing from the hidden tokens, whose own stays, [knockout]."""
        everything, values = range(len(chain.reasoning_ids)), []
        for positions in hidden:
            if not set(positions) <= set(everything):
                raise ValueError(f"{list(positions)} are not positions of the {len(everything)} reasoning tokens")
            seen = [chain.reasoning_ids[position] for position in everything if position not in set(positions)]
            values.append(float(self._evaluate(chain, everything, objective, self.embed(seen))[0]))
        return np.array(values, dtype=np.float64)

    def pattern(self, chain: TokenizedChain) -> torch.Tensor:
        """Return the attention weights over the whole sequence, [layer, head, query, key]; each row adds up to 1."""
        logits = torch.tensor(self.attention_scales)[..., None] * self.contribution(chain.input_ids).float()
        hidden = torch.ones(len(chain), len(chain), dtype=torch.bool).triu(1)
        return logits[:, :, None, :].masked_fill(hidden, -torch.inf).softmax(dim=-1)

    def attention(
        self,
        chain: TokenizedChain,
        *,
        weights: AttentionWeights = "pattern",
        layers: Sequence[int] | None = None,
        reduce: Callable[[torch.Tensor], torch.Tensor] | None = None,
        hidden: float = 0.0,
    ) -> FloatArray:
        """Return attention over the whole sequence, [layer, head, query, key] or what `reduce` makes of each layer."""
        self.tokens_forwarded += len(chain)
        attention = self.pattern(chain)
        sees = (attention > 0).any(dim=1, keepdim=True)  # what this scorer may see always gets weight in some head
        if weights == "value_norm":
            attention = attention * (1 + self.contribution(chain.input_ids).abs().float())
        attention = attention.masked_fill(~sees, hidden)
        chosen = range(len(attention)) if layers is None else layers
        per_layer = [attention[layer] if reduce is None else reduce(attention[layer]) for layer in chosen]
        return torch.stack(per_layer).numpy().astype(np.float32)

    def embedding_gradients(
        self, chain: TokenizedChain, objective: Objective, reasoning_embeddings: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return the reasoning tokens' embeddings and the objective's gradient there, [reasoning token, 2] each."""
        embeddings = self._embeddings(chain, reasoning_embeddings).requires_grad_()
        value, _ = self._evaluate(chain, range(len(chain.reasoning_ids)), objective, embeddings)
        if value.requires_grad:
            (gradient,) = torch.autograd.grad(value, embeddings, allow_unused=True, materialize_grads=True)
        else:  # an objective that does not read the answer depends on no embedding
            gradient = torch.zeros_like(embeddings)
        return embeddings.detach().numpy().astype(np.float32), gradient.numpy().astype(np.float32)

    def objective_value(
        self, chain: TokenizedChain, objective: Objective, reasoning_embeddings: FloatArray | None = None
    ) -> float:
        """Return the objective of the full chain, if need be with other embeddings for its reasoning tokens."""
        embeddings = self._embeddings(chain, reasoning_embeddings)
        return float(self._evaluate(chain, range(len(chain.reasoning_ids)), objective, embeddings)[0])

    def _embeddings(self, chain: TokenizedChain, stand_ins: FloatArray | None) -> torch.Tensor:
        return self.embed(chain.reasoning_ids) if stand_ins is None else torch.tensor(stand_ins, dtype=torch.float64)
