"""`CausalLMScorer`: the numbers of a scorer, computed once for all backends."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import DeletionScores, Scorer, SpanEntropies, SpanLogprobs
from tokimp.models.attention import layers_with_attention
from tokimp.models.backend import Backend
from tokimp.models.batching import PositionBudget
from tokimp.models.capabilities import capabilities_of
from tokimp.models.causal_lm_inside import CausalLMInside
from tokimp.models.decoder import Decoder
from tokimp.models.deletion.reading import DeletionPass
from tokimp.models.facts import ModelFacts
from tokimp.models.forward_work import ForwardWork, ModelSize
from tokimp.models.generation import continue_prompts
from tokimp.models.loading import load_model
from tokimp.models.packs.choose import choose_reader
from tokimp.models.packs.sharing_copy import sharing_copy
from tokimp.models.side_by_side import run_side_by_side
from tokimp.models.spans import read_entropies, read_spans
from tokimp.models.trial import trial_ids
from tokimp.storage.digests import json_digest

T = TypeVar("T")

# Measured on an H200 with a model of 7 billion parameters: eight chains of 120 tokens fill a call
# (docs/performance.md).
_CHAINS_AT_ONCE = 8


class CausalLMScorer(CausalLMInside):
    """A transformers decoder, run by a backend.

    A subclass names its backend: the class in `backend_class`, and in `backend` what results call it, which is also
    the name of its entry point. `tokimp.models.backend.Backend` shows a whole one.

    Parameters
    ----------
    model, device, dtype, tokenizer
        As for `tokimp.models.loading.load_scorer`. The modules of a model object are copied, its weights shared.
    trust_remote_code
        Whether a hub repository may run its own Python code here.
    reuse_kv
        Whether deletions share the keys and values of what precedes them. ``None``: where the architecture allows it,
        which all do but recurrent and hybrid ones.
    batch_positions
        The most token positions that go through the model at once; it halves when memory runs out.
    logits_budget
        The most numbers in a [batch, position, vocabulary] tensor; longer batches pass through the model in pieces.
    cache_memory
        The most bytes of keys and values kept for the next step of a pruning. ``None``: a share of the device's memory.
    packed
        Whether shortened chains are laid end to end and read as one sequence, whatever their lengths
        (`tokimp.models.packs`), instead of in batches of equal lengths. ``"auto"``: on a GPU, where the architecture
        allows it. True where it does not is an error.
    compiled
        Whether the blocks of a model that reads packs are compiled by ``torch.compile``. That takes half a minute when
        the scorer is made, and saves time in every call on a GPU. The numbers are the same within rounding.
    device_map, offload_folder, quantization, random_weights
        As for `tokimp.models.loading.load_scorer`.

    Attributes
    ----------
    decoder
        Runs the model, within its memory; it has the limits and the counts.
    batching
        Whether deletions are read in packs or in batches, and why.

    Raises
    ------
    ScorerError, UnsupportedError
        As for `tokimp.models.loading.load_scorer`.
    """

    backend_class: ClassVar[type[Backend]]

    def __init__(
        self,
        model: Any,
        *,
        device: str = "auto",
        dtype: str = "auto",
        tokenizer: Any = None,
        trust_remote_code: bool = False,
        reuse_kv: bool | None = None,
        batch_positions: int | None = None,
        logits_budget: int | None = None,
        cache_memory: int | None = None,
        packed: bool | Literal["auto"] = "auto",
        compiled: bool = False,
        device_map: str | Path | Mapping[str, Any] | None = None,
        offload_folder: str | Path | None = None,
        quantization: Any = None,
        random_weights: str | None = None,
    ) -> None:
        loaded = load_model(
            model,
            device=device,
            dtype=dtype,
            tokenizer=tokenizer,
            trust_remote_code=trust_remote_code,
            device_map=device_map,
            offload_folder=offload_folder,
            quantization=quantization,
            random_weights=random_weights,
        )
        facts = ModelFacts.read(loaded)
        # The hooks that hold rotary factors to a sequence's own length are on the model that the backend wraps.
        runs_plain = self.backend_class.runs_the_plain_model and not loaded.rotary.changes
        plain = sharing_copy(loaded.model, self.backend_class.attention_implementation) if runs_plain else None
        shares_prefix = runs_plain and facts.shares_prefix and reuse_kv is not False
        reader, self.batching = choose_reader(
            loaded.model, packed, loaded.device, shares_prefix=shares_prefix, compiled=compiled
        )
        self.decoder = Decoder(
            loaded,
            facts,
            self.backend_class(loaded),
            reuse_kv=reuse_kv,
            batch_positions=batch_positions,
            logits_budget=logits_budget,
            cache_memory=cache_memory,
            plain=plain,
            packed=reader,
        )
        self.tokenizer = loaded.tokenizer
        self.model_id, self.device, self.dtype = loaded.model_id, loaded.device, loaded.dtype
        self.loading = loaded.settings
        self.context_length = facts.context_length
        ids = trial_ids(loaded.model)
        backend = self.decoder.backend
        if backend.attention_layers:
            backend.attention_layers = layers_with_attention(backend, ids)
        self.capabilities = capabilities_of(backend, ids)
        self._deletions = DeletionPass(self.decoder)
        self._clock: Callable[[], float] = time.perf_counter

    @property
    def model(self) -> Any:
        """The transformers model, as the backend wrapped it."""
        return self.decoder.backend.model

    @property
    def wrapper(self) -> Any:
        """What hooks and edits are set on: TransformerLens' bridge, nnsight's model, or the transformers model.

        Every number goes through them as long as they are set. See ``examples/13_intervention.py``.
        """
        return self.decoder.backend.wrapper

    @property
    def tokens_forwarded(self) -> int:  # type: ignore[override] # the decoder counts, nobody sets
        """Token positions passed through the model so far, padding included."""
        return self.decoder.tokens_forwarded

    @property
    def call_cost(self) -> int:  # type: ignore[override] # the decoder knows it, nobody sets it
        """Token positions that take about as long as starting one more call of the model."""
        return self.decoder.call_cost

    @property
    def chains_at_once(self) -> int:  # type: ignore[override] # the decoder knows it, nobody sets it
        """How many chains are best asked about side by side: several fill a call of a GPU."""
        on_a_cpu = torch.device(self.device).type == "cpu"
        return 1 if on_a_cpu or not self.decoder.reads_packs else _CHAINS_AT_ONCE

    @property
    def reads_alone(self) -> bool:  # type: ignore[override] # it follows from how the scorer was loaded
        """Whether every sequence is read from scratch in a call of its own: ``reuse_kv=False, batch_positions=1``."""
        return not self.decoder.reuse_kv and self.decoder.budget.positions == 1

    @property
    def work(self) -> ForwardWork:
        """What passed forward through the model for log-probabilities."""
        return self.decoder.work

    @property
    def size(self) -> ModelSize:
        """What decides how much the model computes for a position."""
        return self.decoder.facts.size

    @property
    def budget(self) -> PositionBudget:
        """The most token positions that go through the model at once."""
        return self.decoder.budget

    @property
    def reuse_kv(self) -> bool:
        """Whether deletions share the keys and values of what precedes them."""
        return self.decoder.reuse_kv

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
        other = copy.copy(self)
        other.decoder = self.decoder.reusing(reuse_kv=reuse_kv, cache_memory=cache_memory)
        other._deletions = DeletionPass(other.decoder)
        return other

    def run_side_by_side(self, tasks: Sequence[Callable[[Scorer], T]]) -> list[T | BaseException]:
        """Run tasks beside each other, their packs read as one; see `Scorer.run_side_by_side`."""
        if not self.decoder.reads_packs or len(tasks) == 1:
            return super().run_side_by_side(tasks)
        works = [partial(self._beside, task) for task in tasks]
        return run_side_by_side(self.decoder, works)

    def _beside(self, task: Callable[[Scorer], T], decoder: Decoder, clock: Callable[[], float]) -> T:
        other = copy.copy(self)
        other.decoder, other._deletions, other._clock = decoder, DeletionPass(decoder), clock
        return task(other)

    def clock(self) -> float:
        """Return seconds of which only differences mean something; see `Scorer.clock`."""
        return self._clock()

    def fingerprint(self) -> str:
        """Return a digest of weights, configuration and precision as they were loaded; the same on every backend.

        Where the model was changed since (hooks, edits, other weights, other code), the digest is of the changes too.
        A hook is known by its code and by the values that it holds, not by what it looks up in its module.
        """
        fingerprint, changes = self.decoder.fingerprint(), self.decoder.state.changes()
        return fingerprint if not changes else json_digest({"model": fingerprint, "changes": changes})

    def logprobs(self, chains: Sequence[TokenizedChain]) -> list[SpanLogprobs]:
        """Return the log-probabilities of every chain's reasoning and answer tokens, in the order of `chains`."""
        for chain in chains:
            self._check_readable(chain)
        return read_spans(self.decoder, chains)

    def entropies(self, chains: Sequence[TokenizedChain]) -> list[SpanEntropies]:
        """Return how open the choice of every reasoning and answer token was; see `Scorer.entropies`."""
        for chain in chains:
            self._check_readable(chain)
        return read_entropies(self.decoder, chains)

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
        self._check_readable(chain, objective)
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
        if self.decoder.rotary.side(len(chain)):
            until = None  # how a sequence is read depends on its whole length
        with torch.no_grad():
            return self._deletions.logprobs(chain, kept, candidates, until)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int = 256,
        n: int = 1,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> list[list[str]]:
        """Continue each prompt `n` times; see `Scorer.generate`.

        A continuation depends on its prompt, the seed and its place among all, not on what shares its batch.
        """
        return continue_prompts(
            self.decoder,
            self.decoder.backend,
            prompts,
            max_new_tokens=max_new_tokens,
            n=n,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
        )
