"""A decoder: ids in, log-probabilities of chosen tokens out, within memory, every position counted."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

import torch
from transformers.cache_utils import DynamicCache

from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.backend import Backend
from tokimp.models.batching import PositionBudget
from tokimp.models.deletion.key_value_pool import KeyValuePool, new_cache
from tokimp.models.deletion.stored_rows import LogprobArray
from tokimp.models.facts import ModelFacts
from tokimp.models.fingerprint import RememberedFingerprint
from tokimp.models.forward_work import ForwardWork
from tokimp.models.interventions import ModelState
from tokimp.models.loading import LoadedModel
from tokimp.models.memory import total_memory
from tokimp.models.packs.pack import Pack
from tokimp.models.packs.packed_model import PackedModel
from tokimp.models.packs.transfer import to_device
from tokimp.models.token_logprobs import GatherLogits, TokenQueries, gather_logprobs, token_logprobs

# Fixed rather than measured, so that the same run makes the same batches. By kind of device (else the last): token
# positions of a batch, and numbers in a tensor of logits.
_BATCH_POSITIONS = {"cpu": 2048, "": 16384}
# A pack is as large everywhere: who reads packs on a CPU does so for few calls, and several chains share one.
_PACK_POSITIONS = 16384
_LOGITS = {"cpu": 2**26, "": 2**28}
# Share of all memory, free or not, that keys and values kept between the steps of a pruning may take.
_CACHE_SHARE = {"cpu": 1 / 8, "": 1 / 4}
# What starting one call costs, in token positions. On a CPU: reading the weights from memory takes as long as computing
# a few positions, whatever the model's size; and a layer's fixed cost (Python, hooks) as long as this many products.
_GPU_CALL_COST = 1024
_POSITIONS_PER_READING, _OPERATIONS_PER_LAYER = 8, 1.5e7


class Decoder:
    """A loaded model that a backend runs, with limits on memory and counts of what passed through it.

    Parameters
    ----------
    loaded
        The model.
    facts
        What is known of it, read before the backend wrapped it.
    backend
        Runs it.
    reuse_kv, batch_positions, logits_budget
        As for `tokimp.models.causal_lm.CausalLMScorer`.
    cache_memory
        The most bytes of keys and values kept for the next step of a pruning, besides those of the chain itself. By
        default a share of the device's memory.
    plain
        The transformers model without the backend, with the same weights, for numbers that need no look inside;
        ``None`` to run all through the backend.
    packed
        Reads packs; ``None`` for rectangular batches.

    Attributes
    ----------
    reuse_kv
        Whether deletions share the keys and values of what precedes them.
    budget
        The most token positions that go through the model at once.
    call_cost
        Token positions that take about as long as the fixed cost of one call of the model.
    logits_budget
        The most numbers in a tensor of logits.
    tokens_forwarded
        Token positions passed through the model so far, padding included.
    state
        Whether somebody has changed the model since; then every number goes through the backend.
    work
        What passed forward through the model for log-probabilities (not for attention, gradients or generations).

    Raises
    ------
    ScorerError
        If a limit makes no sense.
    UnsupportedError
        If keys and values are to be shared and the architecture does not allow it.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        facts: ModelFacts,
        backend: Backend,
        *,
        reuse_kv: bool | None = None,
        batch_positions: int | None = None,
        logits_budget: int | None = None,
        cache_memory: int | None = None,
        plain: Any = None,
        packed: PackedModel | None = None,
    ) -> None:
        self._plain, self.packed, self._fingerprint = plain, packed, RememberedFingerprint()
        self.state = ModelState([backend.model, backend.root], backend)
        self.pool: KeyValuePool | None = None
        self._joined_reader: Callable[[Pack], LogprobArray] | None = None
        self.backend, self.facts = backend, facts
        self.tokenizer: Any = loaded.tokenizer
        self.model_id, self.device, self.dtype = loaded.model_id, loaded.device, loaded.dtype
        self.rotary, self.writing = loaded.rotary, facts.writing
        self.context_length, self.end_tokens = facts.context_length, facts.end_tokens
        self.tokens_forwarded, self.work = 0, ForwardWork()
        if reuse_kv:
            self._check_sharing()
        self.reuse_kv = facts.shares_prefix if reuse_kv is None else reuse_kv
        kind = torch.device(self.device).type
        if batch_positions is None:
            batches = _BATCH_POSITIONS.get(kind, _BATCH_POSITIONS[""])
            batch_positions = batches if packed is None else _PACK_POSITIONS
        self.budget = PositionBudget(batch_positions)
        self.call_cost = _call_cost(kind, facts.layers, facts.parameters)
        self.logits_budget = _LOGITS.get(kind, _LOGITS[""]) if logits_budget is None else logits_budget
        if cache_memory is None:
            cache_memory = int(_CACHE_SHARE.get(kind, _CACHE_SHARE[""]) * total_memory(self.device))
        if cache_memory < 0:
            raise ScorerError(f"cache_memory is a number of bytes, 0 or more, not {cache_memory}")
        self.cache_memory = cache_memory

    def reusing(self, *, reuse_kv: bool, cache_memory: int | None = None) -> Self:
        """Return a decoder of the same loaded model that reuses keys and values otherwise, with counts of its own.

        Parameters and errors as for `tokimp.models.causal_lm.CausalLMScorer.reusing`.
        """
        if reuse_kv:
            self._check_sharing()
        other = copy.copy(self)
        other.reuse_kv = reuse_kv
        other.cache_memory = self.cache_memory if cache_memory is None else cache_memory
        other.tokens_forwarded, other.work = 0, ForwardWork()
        return other

    def _check_sharing(self) -> None:
        if not self.facts.shares_prefix:
            raise UnsupportedError(
                f"{self.model_id}: the architecture {self.facts.architecture!r} keeps a state that cannot be cut back "
                "to a prefix, so deletions cannot share keys and values; use reuse_kv=False (exact, but slower)"
            )

    def query(
        self,
        input_ids: torch.Tensor,
        queries: TokenQueries,
        cache: DynamicCache | None = None,
        gather: GatherLogits = gather_logprobs,
    ) -> torch.Tensor:
        """Return the log-probabilities of chosen tokens.

        The ids pass through the model in as many pieces as keep its logits within their budget; each piece continues
        the cache of those before it, so no position is passed twice.

        Parameters
        ----------
        input_ids
            [row, position]
        queries
            What is asked for; positions count from the start of `input_ids`.
        cache
            Keys and values of what precedes; extended in place.
        gather
            What is read from the logits instead of log-probabilities.

        Returns
        -------
        torch.Tensor
            Nats, float32, [query]; or [query, ...] of what `gather` returns.
        """
        values = torch.empty(len(queries), dtype=torch.float32, device=input_ids.device)
        if not len(queries):
            return values
        with self.whole(input_ids, cache):
            for offset, end, logits in self._logits_from(input_ids, queries.first_position, cache):
                chosen, part = queries.between(offset, end)
                gathered = gather(logits, part, first=offset).to(values.dtype)
                if gathered.shape[1:] != values.shape[1:]:
                    values = values.new_empty(len(queries), *gathered.shape[1:])
                values[chosen.to(values.device)] = gathered
        return values

    def predict(self, input_ids: torch.Tensor, tokens: torch.Tensor, cache: DynamicCache | None) -> torch.Tensor:
        """Return the log-probabilities of several tokens at each of the last positions.

        Parameters
        ----------
        input_ids
            [row, position]
        tokens
            The ids that may come next, [row, last position, choice].
        cache
            Keys and values of what precedes; extended in place.

        Returns
        -------
        torch.Tensor
            Nats, float32, [row, last position, choice].
        """
        first = input_ids.shape[1] - tokens.shape[1]
        with self.whole(input_ids, cache):
            pieces = [
                token_logprobs(logits, tokens[:, offset - first : end - first]).float()
                for offset, end, logits in self._logits_from(input_ids, first, cache)
            ]
        return torch.cat(pieces, dim=1)

    def predict_embeddings(
        self, input_ids: torch.Tensor, substitute: Callable[[torch.Tensor], torch.Tensor], queries: TokenQueries
    ) -> torch.Tensor:
        """Return the log-probabilities of chosen tokens when other embeddings take the place of the tokens' own.

        Parameters
        ----------
        input_ids
            [row, position]
        substitute
            Maps the tokens' embeddings, [row, position, d_model], to what the model reads instead.
        queries
            What is asked for; positions count from the start of `input_ids`.

        Returns
        -------
        torch.Tensor
            Nats, float32, [query]; differentiable.
        """
        first = queries.first_position
        last = input_ids.shape[1] - first
        with self.whole(input_ids, None):
            logits = self.backend.forward_embeddings(self.counted(input_ids), substitute, **self.inputs(None, last))
        return gather_logprobs(logits[:, -last:], queries, first=first)

    def shares(self, longest: int) -> bool:
        """Return whether deletions share keys and values, where no sequence has more than `longest` tokens.

        Above the length at which a model's rotary factors change, a sequence and what a deletion leaves of it may have
        other factors, and so have other keys at the same place.
        """
        return self.reuse_kv and self.rotary.side(longest) == 0

    def whole(self, input_ids: torch.Tensor, cache: DynamicCache | None) -> AbstractContextManager[None]:
        """Read with the rotary factors of the whole sequences, which go on for one token that predicts nothing.

        What continues a cache belongs to sequences on the lower side of the border; see `shares`.
        """
        return self.rotary.sequences_of(input_ids.shape[1] + 1 if cache is None else None)

    def _logits_from(
        self, input_ids: torch.Tensor, first: int, cache: DynamicCache | None
    ) -> Iterator[tuple[int, int, torch.Tensor]]:
        """Pass ids through the model; yield the logits from position `first` on in pieces, each with its borders."""
        rows, length = input_ids.shape
        piece = max(1, self.logits_budget // (rows * self.facts.vocabulary)) if self.facts.shares_prefix else length
        if cache is None and length - first > piece:
            cache = new_cache()
        begin, end = 0, min(length, first + piece)
        while begin < length:
            offset = max(begin, first)
            yield offset, end, self._logits(input_ids[:, begin:end], cache, end - offset)
            begin, end = end, min(length, end + piece)

    @property
    def most_scored_positions(self) -> int:
        """Positions whose logits fit in their budget together."""
        return max(1, self.logits_budget // self.facts.vocabulary)

    def extend(self, cache: DynamicCache, input_ids: torch.Tensor) -> None:
        """Pass ids through the model for their keys and values alone, which are added to `cache`."""
        self._logits(input_ids, cache, 1)

    def beside(self, read: Callable[[Pack], LogprobArray], pool: KeyValuePool) -> Self:
        """Return a decoder of the same loaded model with counts of its own, for one of several tasks beside each other.

        Parameters
        ----------
        read
            Reads its packs, together with those of the other tasks.
        pool
            Holds the keys and values of all tasks.
        """
        other = copy.copy(self)
        other._joined_reader, other.pool = read, pool
        other.tokens_forwarded, other.work = 0, ForwardWork()
        return other

    @property
    def reads_packs(self) -> bool:
        """Whether deletions are read in packs."""
        return self.may_read_packs and not self.state.changed

    @property
    def may_read_packs(self) -> bool:
        """Whether deletions are read in packs as long as nobody changes the model."""
        return self.packed is not None and self.reuse_kv

    def fingerprint(self) -> str:
        """Return the digest of the model with the weights that it has now, which may have been changed in place."""
        return self.facts.fingerprint if self._plain is None else self._fingerprint.of(self._plain)

    def read_pack(self, pack: Pack, pool: KeyValuePool) -> LogprobArray:
        """Read a pack in one call of the model; return the log-probabilities it asks for, nats, [scored, choice]."""
        if self._joined_reader is not None:
            self._count(pack)
            return self._joined_reader(pack)
        return self.start_pack(pack, pool).cpu().numpy()

    def _count(self, pack: Pack) -> None:
        self.tokens_forwarded += len(pack.ids)
        self.work.add_pack(len(pack.ids), pack.pairs, len(pack.scored))

    def start_pack(self, pack: Pack, pool: KeyValuePool) -> torch.Tensor:
        """Begin to read a pack; return what will hold its log-probabilities, [scored, choice], on the device.

        A GPU goes on computing after this returns. What is begun later is computed after it.
        """
        assert self.packed is not None  # noqa: S101 - packs are made where there is somebody to read them
        self._count(pack)
        (tokens,) = to_device([pack.tokens], torch.device(self.device))
        return self.packed.logprobs(self.packed.hidden(pack, pool), tokens, self.logits_budget)

    def tensor(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return ids as a tensor on the model's device, [row, position]."""
        return torch.tensor(ids, dtype=torch.long, device=self.device)

    def _logits(self, input_ids: torch.Tensor, cache: DynamicCache | None, last: int) -> torch.Tensor:
        """Return the logits of the last positions, [row, last, vocabulary]; `cache` is extended in place."""
        past = 0 if cache is None else int(cache.get_seq_length())
        rows, length = input_ids.shape
        self.work.add(rows, length, past=past, scored=last)
        ids, inputs = self.counted(input_ids), self.inputs(cache, last)
        if self._plain is None or self.state.changed:
            return self.backend.forward(ids, **inputs)[:, -last:]
        logits: torch.Tensor = self._plain(ids, **inputs).logits
        return logits[:, -last:]

    def counted(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Return ids that are about to pass through the model, and count them."""
        self.tokens_forwarded += input_ids.numel()
        return input_ids

    def inputs(self, cache: DynamicCache | None, last: int) -> dict[str, Any]:
        """Return keyword arguments for the model, with which it forms the logits of the last positions."""
        inputs: dict[str, Any] = {"use_cache": cache is not None}
        if cache is not None:
            inputs["past_key_values"] = cache
        if self.facts.takes_logits_to_keep:
            inputs["logits_to_keep"] = last
        return inputs

    def all_queries(self, cache: DynamicCache | None, last: int) -> dict[str, Any]:
        """Return keyword arguments with which every layer computes all its queries, whichever logits are asked for."""
        inputs = self.inputs(cache, last)
        if self.facts.skips_queries:
            inputs.pop("logits_to_keep", None)
        return inputs


def _call_cost(kind: str, layers: int, parameters: int) -> int:
    """Return the token positions that cost as much time as starting one call of the model."""
    if kind != "cpu":
        return _GPU_CALL_COST
    return _POSITIONS_PER_READING + round(layers * _OPERATIONS_PER_LAYER / parameters)
