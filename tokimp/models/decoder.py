"""A decoder behind a backend: ids in, log-probabilities of chosen tokens out, within memory, every position counted."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from tokimp.chains.chain import TokenizedChain
from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.batching import PositionBudget
from tokimp.models.deletion.key_value_pool import can_share_prefix, new_cache
from tokimp.models.fingerprint import model_fingerprint
from tokimp.models.forward_work import ForwardWork, model_size
from tokimp.models.generation import take_end_tokens
from tokimp.models.loading import context_length, load_model
from tokimp.models.memory import total_memory
from tokimp.models.token_logprobs import TokenQueries, gather_logprobs, token_logprobs

# Fixed rather than measured, so that the same run makes the same batches. By kind of device (else the last): token
# positions of a batch, and numbers in a tensor of logits.
_BATCH_POSITIONS = {"cpu": 2048, "": 16384}
_LOGITS = {"cpu": 2**26, "": 2**28}
# Share of all memory, free or not, that keys and values kept between the steps of a pruning may take.
_CACHE_SHARE = {"cpu": 1 / 8, "": 1 / 4}
# What starting one call costs, in token positions. Of a CPU: reading the weights from memory takes as long as computing
# a few positions, whatever the model's size; and a layer's fixed cost (Python, hooks) as long as this many products.
_GPU_CALL_COST = 1024
_POSITIONS_PER_READING, _OPERATIONS_PER_LAYER = 8, 1.5e7


class Decoder(ABC):
    """What `CausalLMScorer` is made on: a loaded model, and the few operations that each backend does in its own way.

    A backend writes `_wrap`, `_model`, `_attention_layers`, `_forward`, `_forward_attention`, `_forward_embeddings`
    and `_output_projection`; `_forward_cut` too, where it can cut attention. Parameters and errors as of
    `tokimp.models.causal_lm.CausalLMScorer`.

    Attributes
    ----------
    architecture
        Transformers' ``model_type``.
    reuse_kv
        Whether deletions share the keys and values of what precedes them.
    budget
        The most token positions that go through the model at once.
    call_cost
        Token positions that take about as long as the fixed cost of one call of the model.
    logits_budget
        The most numbers in a tensor of logits.
    cache_memory
        The most bytes of keys and values kept for the next step of a pruning, besides those of the chain itself.
    end_tokens
        Ids that end a generated text.
    size, work
        What decides how much the model computes a position, and what passed forward through it for log-probabilities
        (not for attention, gradients or generations).
    """

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
    ) -> None:
        loaded = load_model(model, device=device, dtype=dtype, tokenizer=tokenizer, trust_remote_code=trust_remote_code)
        self.tokenizer: Any = loaded.tokenizer
        self.model_id, self.device, self.dtype = loaded.model_id, loaded.device, loaded.dtype
        self.tokens_forwarded = 0
        config = loaded.model.config.get_text_config(decoder=True)
        self.architecture: str = config.model_type
        self.context_length = context_length(config)
        self.end_tokens = take_end_tokens(loaded.model, loaded.tokenizer)
        self._layer_count: int = config.num_hidden_layers
        self._vocabulary: int = loaded.model.get_output_embeddings().weight.shape[0]
        self._takes_logits_to_keep = "logits_to_keep" in inspect.signature(loaded.model.forward).parameters
        self._shares_prefix = can_share_prefix(loaded.model, self.device)
        if reuse_kv and not self._shares_prefix:
            raise UnsupportedError(
                f"{self.model_id}: the architecture {self.architecture!r} keeps a state that cannot be cut back to a "
                "prefix, so deletions cannot share keys and values; use reuse_kv=False (exact, but slower)"
            )
        self.reuse_kv = self._shares_prefix if reuse_kv is None else reuse_kv
        kind = torch.device(self.device).type
        self.budget = PositionBudget(_BATCH_POSITIONS.get(kind, _BATCH_POSITIONS[""]))
        if batch_positions is not None:
            self.budget = PositionBudget(batch_positions)
        self.call_cost = _call_cost(kind, self._layer_count, loaded.model.num_parameters())
        self.logits_budget = _LOGITS.get(kind, _LOGITS[""]) if logits_budget is None else logits_budget
        if cache_memory is None:
            cache_memory = int(_CACHE_SHARE.get(kind, _CACHE_SHARE[""]) * total_memory(self.device))
        if cache_memory < 0:
            raise ScorerError(f"cache_memory is a number of bytes, 0 or more, not {cache_memory}")
        self.cache_memory = cache_memory
        self._fingerprint = model_fingerprint(loaded.model)
        self.size, self.work = model_size(loaded.model), ForwardWork()
        self._wrap(loaded.model)

    @abstractmethod
    def _wrap(self, model: Any) -> None:
        """Take over a transformers model, which nobody else uses; raise `UnsupportedError` if it is not known."""

    @property
    @abstractmethod
    def _model(self) -> Any:
        """The transformers model, as wrapped."""

    @property
    @abstractmethod
    def _attention_layers(self) -> frozenset[int]:
        """The layers that have attention weights to show."""

    @abstractmethod
    def _forward(self, input_ids: torch.Tensor, **inputs: Any) -> torch.Tensor:
        """Return logits for ids, [batch, position]; `inputs` go to the model as they are."""

    @abstractmethod
    def _forward_attention(
        self, input_ids: torch.Tensor, layers: frozenset[int], visit: Callable[[int, torch.Tensor], None], **inputs: Any
    ) -> None:
        """Run the model; as each of `layers` runs, visit its attention weights, [batch, head, query, key]."""

    def _forward_cut(self, input_ids: torch.Tensor, cut: torch.Tensor, **inputs: Any) -> torch.Tensor:
        """Return logits with no attention, in any layer or head, where `cut`, [row, query, key], is true."""
        raise UnsupportedError(f"{type(self).__name__} cannot cut attention")

    @abstractmethod
    def _forward_embeddings(
        self, input_ids: torch.Tensor, substitute: Callable[[torch.Tensor], torch.Tensor], **inputs: Any
    ) -> torch.Tensor:
        """Return logits, with `substitute` of the token embedding's output [batch, position, d_model] in its place."""

    @abstractmethod
    def _output_projection(self, layer: int) -> torch.nn.Module:
        """Return the module that maps a layer's concatenated heads to the residual stream."""

    def query(self, input_ids: torch.Tensor, queries: TokenQueries, cache: DynamicCache | None = None) -> torch.Tensor:
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

        Returns
        -------
        torch.Tensor
            Nats, float32, [query].
        """
        values = torch.empty(len(queries), dtype=torch.float32, device=input_ids.device)
        if not len(queries):
            return values
        for offset, end, logits in self._logits_from(input_ids, queries.first_position, cache):
            chosen, part = queries.between(offset, end)
            values[chosen.to(values.device)] = gather_logprobs(logits, part, first=offset).to(values.dtype)
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
        found = [
            token_logprobs(logits, tokens[:, offset - first : end - first]).float()
            for offset, end, logits in self._logits_from(input_ids, first, cache)
        ]
        return torch.cat(found, dim=1)

    def predict_cut(self, input_ids: torch.Tensor, cut: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Return the log-probability of one token at each of the last positions, with some attention cut.

        Parameters
        ----------
        input_ids
            [row, position]
        cut
            True where a query may not attend to a key, [row, query, key].
        tokens
            The ids that come next, [row, last position].

        Returns
        -------
        torch.Tensor
            Nats, float32, [row, last position].
        """
        (rows, length), last = input_ids.shape, tokens.shape[1]
        self.work.add(rows, length, past=0, scored=last)
        logits = self._forward_cut(self._counted(input_ids), cut, **self._inputs(None, last))[:, -last:]
        return token_logprobs(logits, tokens[..., None])[..., 0].float()

    def _logits_from(
        self, input_ids: torch.Tensor, first: int, cache: DynamicCache | None
    ) -> Iterator[tuple[int, int, torch.Tensor]]:
        """Pass ids through the model; give the logits from position `first` on, piece by piece, with its borders."""
        rows, length = input_ids.shape
        piece = max(1, self.logits_budget // (rows * self._vocabulary)) if self._shares_prefix else length
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
        return max(1, self.logits_budget // self._vocabulary)

    def extend(self, cache: DynamicCache, input_ids: torch.Tensor) -> None:
        """Pass ids through the model for their keys and values alone, which are added to `cache`."""
        self._logits(input_ids, cache, 1)

    def tensor(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return ids as a tensor on the model's device, [row, position]."""
        return torch.tensor(ids, dtype=torch.long, device=self.device)

    def _logits(self, input_ids: torch.Tensor, cache: DynamicCache | None, last: int) -> torch.Tensor:
        """Return the logits of the last positions, [row, last, vocabulary]; `cache` is extended in place."""
        past = 0 if cache is None else int(cache.get_seq_length())
        rows, length = input_ids.shape
        self.work.add(rows, length, past=past, scored=last)
        return self._forward(self._counted(input_ids), **self._inputs(cache, last))[:, -last:]

    def _counted(self, input_ids: torch.Tensor) -> torch.Tensor:
        self.tokens_forwarded += input_ids.numel()
        return input_ids

    def _inputs(self, cache: DynamicCache | None, last: int) -> dict[str, Any]:
        inputs: dict[str, Any] = {"use_cache": cache is not None}
        if cache is not None:
            inputs["past_key_values"] = cache
        if self._takes_logits_to_keep:
            inputs["logits_to_keep"] = last
        return inputs

    def _check_readable(self, chain: TokenizedChain) -> None:
        """Raise `ScorerError` if the model cannot read a chain: no prompt, too long, ids of another tokenizer."""
        where = chain.chain.where
        if not chain.prompt_ids:
            raise ScorerError(f"{where}: the prompt has no tokens, so nothing predicts the first reasoning token")
        longest = len(chain) + max(0, len(chain.wrong_answer_ids or ()) - len(chain.answer_ids))
        if self.context_length is not None and longest > self.context_length:
            raise ScorerError(
                f"{where}: {longest} tokens, but {self.model_id} reads at most {self.context_length}; "
                "shorten the chain or leave it out (--skip-bad)"
            )
        highest = max((*chain.input_ids, *(chain.wrong_answer_ids or ())))
        if highest >= self._vocabulary:
            raise ScorerError(
                f"{where}: token id {highest} is not in the vocabulary of {self.model_id} ({self._vocabulary} tokens); "
                "tokenise the chain with the scorer's own tokenizer"
            )


def _call_cost(kind: str, layers: int, parameters: int) -> int:
    """Return the token positions that cost as much time as starting one call of the model."""
    if kind != "cpu":
        return _GPU_CALL_COST
    return _POSITIONS_PER_READING + round(layers * _OPERATIONS_PER_LAYER / parameters)
