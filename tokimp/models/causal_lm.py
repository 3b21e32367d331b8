"""The one implementation of every number a scorer gives; backends differ only in how they run a model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import LogprobTensors, Objective, Span
from tokimp.contracts.scorer import AttentionWeights, Capability, DeletionScores, Scorer, SpanLogprobs
from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.batching import batches_by_length, run_within_memory, single_sequence, split_list
from tokimp.models.decoder import Decoder
from tokimp.models.deletion.key_value_pool import new_cache
from tokimp.models.deletion.reading import DeletionPass
from tokimp.models.forward_work import ForwardWork
from tokimp.models.generation import continue_prompts
from tokimp.models.knockout import honours_cuts, score_knockouts
from tokimp.models.token_logprobs import TokenQueries, gather_logprobs
from tokimp.models.value_norms import value_norms


class CausalLMScorer(Decoder, Scorer):
    """A decoder of transformers, read through a backend's hooks.

    A backend is a subclass with the abstract operations of `Decoder`.

    Parameters
    ----------
    model, device, dtype, tokenizer
        As for `tokimp.models.loading.load_scorer`. A model object is copied.
    trust_remote_code
        Whether a hub repository may run its own Python code here.
    reuse_kv
        Whether deletions share the keys and values of what precedes them. ``None``: where the architecture allows it,
        which all do but recurrent and hybrid ones.
    batch_positions
        The most token positions that go through the model at once; it halves when memory runs out.
    logits_budget
        The most numbers in a [batch, position, vocabulary] tensor; longer batches pass through the model in pieces.

    Raises
    ------
    ScorerError, UnsupportedError
        As for `tokimp.models.loading.load_scorer`.
    """

    capabilities = frozenset(Capability)

    def __init__(self, model: Any, **options: Any) -> None:
        super().__init__(model, **options)
        if not self._attention_layers:
            self.capabilities = self.capabilities - {Capability.ATTENTION}
        if not honours_cuts(self._forward_cut, self._model, self.device, use_cache=False):
            self.capabilities = self.capabilities - {Capability.KNOCKOUT}
        self._deletions = DeletionPass(self)

    def reusing(self, *, reuse_kv: bool, cache_memory: int | None = None) -> Self:
        """Return a scorer of the same loaded model that reuses keys and values otherwise, with counts of its own.

        Parameters
        ----------
        reuse_kv
            Whether deletions share keys and values at all; if not, every sequence is read from scratch.
        cache_memory
            The most bytes kept for the next step of a pruning; as this scorer's by default. 0 shares within steps only.

        Raises
        ------
        UnsupportedError
            If keys and values of this architecture cannot be shared.
        """
        if reuse_kv and not self._shares_prefix:
            raise UnsupportedError(
                f"{self.model_id}: the architecture {self.architecture!r} keeps a state that cannot be cut back to a "
                "prefix, so deletions cannot share keys and values"
            )
        other = copy.copy(self)
        other.reuse_kv = reuse_kv
        other.cache_memory = self.cache_memory if cache_memory is None else cache_memory
        other.tokens_forwarded, other.work = 0, ForwardWork()
        other._deletions = DeletionPass(other)
        return other

    def fingerprint(self) -> str:
        """Return a digest of weights, configuration and precision as they were loaded; the same on every backend."""
        return self._fingerprint

    def logprobs(self, chains: Sequence[TokenizedChain]) -> list[SpanLogprobs]:
        """Return the log-probabilities of every chain's reasoning and answer tokens, in the order of `chains`."""
        for chain in chains:
            self._check_readable(chain)
        found: dict[int, SpanLogprobs] = {}

        def run(batch: list[int]) -> None:
            found.update(zip(batch, self._span_logprobs([chains[index] for index in batch]), strict=True))

        lengths = [len(chain) - 1 for chain in chains]
        with torch.no_grad():
            run_within_memory(
                batches_by_length(lengths, self.budget.positions),
                run,
                split=split_list,
                positions=lambda batch: len(batch) * max(lengths[index] for index in batch),
                budget=self.budget,
            )
        return [found[index] for index in range(len(chains))]

    def _span_logprobs(self, chains: list[TokenizedChain]) -> list[SpanLogprobs]:
        # Padding lies right of every token that is scored, where a causal model cannot see it: no mask is needed.
        # A sequence's last token predicts nothing and is not read.
        width = max(len(chain) for chain in chains) - 1
        ids = [[*chain.input_ids[:-1], *([0] * (width + 1 - len(chain)))] for chain in chains]
        queries = TokenQueries()
        for row, chain in enumerate(chains):
            queries.add_run(row, len(chain.prompt_ids) - 1, chain.reasoning_ids + chain.answer_ids)
        values = self.query(self.tensor(ids), queries).cpu().numpy()
        ends = np.cumsum([len(span) for chain in chains for span in (chain.reasoning_ids, chain.answer_ids)])
        spans = np.split(values, ends[:-1])
        return [SpanLogprobs(*pair) for pair in zip(spans[::2], spans[1::2], strict=True)]

    def score_deletions(
        self,
        chain: TokenizedChain,
        kept: Sequence[int],
        candidates: Sequence[Sequence[int]],
        objective: Objective,
    ) -> DeletionScores:
        """Score the chain as it would be after each of several deletions; see `Scorer.score_deletions`.

        Raises
        ------
        ScorerError
            If `kept` or a candidate is not a part of the reasoning, or the model cannot read the chain.
        ObjectiveError
            If the chain lacks what the objective reads.
        """
        self._check_readable(chain)
        objective.check(chain)
        with torch.no_grad():
            return self._deletions.score(chain, kept, candidates, objective)

    def deletion_logprobs(
        self,
        chain: TokenizedChain,
        kept: Sequence[int],
        candidates: Sequence[Sequence[int]],
        *,
        until: int | None = None,
    ) -> FloatArray:
        """Return the log-probability of every token left after each of several deletions; see `Scorer`.

        Raises
        ------
        ScorerError
            If `kept` or a candidate is not a part of the reasoning that is read, or the model cannot read the chain.
        """
        self._check_readable(chain)
        with torch.no_grad():
            return self._deletions.logprobs(chain, kept, candidates, until)

    def score_knockouts(
        self, chain: TokenizedChain, hidden: Sequence[Sequence[int]], objective: Objective
    ) -> FloatArray:
        """Return the objective when later tokens cannot attend to some reasoning; see `Scorer.score_knockouts`.

        Raises
        ------
        ScorerError
            If a position is not one of the reasoning, or the model cannot read the chain.
        ObjectiveError
            If the chain lacks what the objective reads.
        UnsupportedError
            If later tokens learn of a hidden one by other ways than attention, or attention is not to be reached.
        """
        if Capability.KNOCKOUT not in self.capabilities:
            raise UnsupportedError(
                f"{self.model_id} ({self.architecture}): cutting attention on the backend {self.backend!r} does not "
                "hide a token from those after it; use leave_one_out, which deletes it"
            )
        self._check_readable(chain)
        objective.check(chain)
        return score_knockouts(self, chain, hidden, objective)

    def attention(
        self,
        chain: TokenizedChain,
        *,
        weights: AttentionWeights = "pattern",
        layers: Sequence[int] | None = None,
        reduce: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> FloatArray:
        """Return attention over the whole sequence; see `Scorer.attention`.

        Raises
        ------
        ScorerError
            If there is no such layer, or the model cannot read the chain.
        UnsupportedError
            If a layer has no attention (recurrent and hybrid architectures), or `weights` are not to be had there.
        """
        self._check_readable(chain)
        wanted = self._chosen_layers(layers)
        if weights not in ("pattern", "value_norm"):
            raise ScorerError(f"attention weights are 'pattern' or 'value_norm', not {weights!r}")
        if weights == "value_norm" and not self._shares_prefix:
            raise UnsupportedError(
                f"{self.model_id} ({self.architecture}) does not keep plain values for every layer, which 'value_norm' "
                "reads; use weights='pattern'"
            )
        cache = new_cache() if weights == "value_norm" else None
        found: dict[int, FloatArray] = {}

        def visit(layer: int, pattern: torch.Tensor) -> None:
            heads = pattern[0].float()
            if cache is not None:
                values: Any = cache.layers[layer]
                heads = heads * value_norms(values.values[0], heads.shape[0], self._output_projection(layer))[:, None]
            found[layer] = (heads if reduce is None else reduce(heads)).float().cpu().numpy()

        with torch.no_grad(), single_sequence(len(chain)):
            ids = self._counted(self.tensor([chain.input_ids]))
            self._forward_attention(ids, frozenset(wanted), visit, **self._inputs(cache, 1))
        return np.stack([found[layer] for layer in wanted])

    def _chosen_layers(self, layers: Sequence[int] | None) -> list[int]:
        count = self._layer_count
        chosen = list(range(count)) if layers is None else list(layers)
        outside = [layer for layer in chosen if not -count <= layer < count]
        if outside or not chosen:
            wrong = ", ".join(map(str, outside)) or "none"
            raise ScorerError(f"{self.model_id} has layers 0 to {count - 1} (or -{count} to -1); asked for: {wrong}")
        chosen = [layer % count for layer in chosen]
        missing = sorted(set(chosen) - self._attention_layers)
        if missing:
            others = f"ask for layers={sorted(self._attention_layers)}, or " if self._attention_layers else ""
            raise UnsupportedError(
                f"{self.model_id} ({self.architecture}) has no attention weights in layers {missing}; "
                f"{others}use an estimator that needs no attention"
            )
        return chosen

    def embedding_gradients(
        self,
        chain: TokenizedChain,
        objective: Objective,
        reasoning_embeddings: FloatArray | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the reasoning tokens' input embeddings and the objective's gradient there.

        An input embedding is what the model's token-embedding module puts out: with Gemma 3's scaling, without
        positions. See `Scorer.embedding_gradients`.
        """
        with torch.enable_grad(), single_sequence(len(chain)):
            value, embeddings = self._objective_from_embeddings(chain, objective, reasoning_embeddings)
            (gradient,) = torch.autograd.grad(value.sum(), embeddings)
        return embeddings.detach().float().cpu().numpy(), gradient.float().cpu().numpy()

    def objective_value(
        self,
        chain: TokenizedChain,
        objective: Objective,
        reasoning_embeddings: FloatArray | None = None,
    ) -> float:
        """Return the objective of the full chain, if need be with other embeddings for its reasoning tokens."""
        with torch.no_grad(), single_sequence(len(chain)):
            value, _ = self._objective_from_embeddings(chain, objective, reasoning_embeddings)
        return float(value.item())

    def _objective_from_embeddings(
        self, chain: TokenizedChain, objective: Objective, replacement: FloatArray | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self._check_readable(chain)
        objective.check(chain)
        begin, end = len(chain.prompt_ids), len(chain.prompt_ids) + len(chain.reasoning_ids)
        leaf: list[torch.Tensor] = []

        def substitute(embedded: torch.Tensor) -> torch.Tensor:
            if not leaf:
                own = embedded[0, begin:end].detach().clone()
                if replacement is not None:
                    if replacement.shape != tuple(own.shape):
                        shapes = f"{tuple(own.shape)}, not {replacement.shape}"
                        raise ScorerError(f"{chain.chain.where}: stand-in embeddings must have the shape {shapes}")
                    own = torch.tensor(replacement).to(own)
                leaf.append(own.requires_grad_(torch.is_grad_enabled()))
            return torch.cat([embedded[:, :begin], leaf[0][None], embedded[:, end:]], dim=1)

        def logprobs(answer: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
            ids = (*chain.prompt_ids, *chain.reasoning_ids, *answer)
            queries = TokenQueries()
            queries.add_run(0, begin - 1, ids[begin:])
            read, last = self._counted(self.tensor([ids[:-1]])), len(ids) - begin
            logits = self._forward_embeddings(read, substitute, **self._inputs(None, last))[:, -last:]
            values = gather_logprobs(logits, queries, first=begin - 1)[None]
            return values[:, : end - begin], values[:, end - begin :]

        reasoning, answer = logprobs(chain.answer_ids)
        wrong = logprobs(chain.wrong_answer_ids or ())[1] if Span.WRONG_ANSWER in objective.spans else None
        return objective.evaluate(LogprobTensors(reasoning, answer, wrong)), leaf[0]

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int = 256,
        n: int = 1,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[list[str]]:
        """Continue each prompt `n` times; see `Scorer.generate`.

        A continuation depends on its prompt, the seed and its place among all, not on what shares its batch.
        """
        return continue_prompts(
            self, self._model, prompts, max_new_tokens=max_new_tokens, n=n, temperature=temperature, seed=seed
        )
