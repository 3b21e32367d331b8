"""A transformers model that reads packs."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from transformers.cache_utils import Cache

from tokimp.models.deletion.key_value_pool import KeyValuePool
from tokimp.models.packs.attention import ATTENTION, PackLayout
from tokimp.models.packs.compiling import COMPILED_ATTENTION, PassingCache, compile_blocks, compiler_settings
from tokimp.models.packs.pack import Pack, PackRow
from tokimp.models.packs.sharing_copy import sharing_copy
from tokimp.models.packs.transfer import to_device
from tokimp.models.placement import computing_devices, input_device
from tokimp.models.token_logprobs import token_logprobs
from tokimp.models.trial import FOREIGN_FAILURES, rounding_bytes

# Rotary embeddings whose factors depend on the longest position of a call, so on what else is in the pack.
_ROTARY_BY_LENGTH = ("dynamic", "longrope")


class _PoolCache(Cache):
    """Keys and values of a pack: what a layer computes goes into the pool, what its rows attend to comes from there."""

    def __init__(self, pool: KeyValuePool, new_slots: torch.Tensor, key_slots: torch.Tensor) -> None:
        super().__init__(layers=[])
        self._pool, self._new, self._read = pool, new_slots, key_slots

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write a layer's new keys and values, [1, head, position, dimension]; return those of all rows."""
        pair = self._pool.layer(layer_idx, key_states, value_states)
        for held, new in zip(pair, (key_states, value_states), strict=True):
            held.index_copy_(0, self._new, new[0].transpose(0, 1))
        keys, values = (held.index_select(0, self._read).transpose(0, 1)[None] for held in pair)
        return keys, values

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return 0: positions are given with the ids."""
        return 0


class PackedModel:
    """A decoder that reads packs: its trunk on all positions at once, its projection on the scored ones, in slices.

    Parameters
    ----------
    model
        A transformers model. It is left as it is: packs are read by a copy that shares its weights.
    compiled
        Whether its blocks are compiled (`tokimp.models.packs.compiling`).

    Attributes
    ----------
    windows
        The sliding window that each layer asked for when the last pack was read, in their order.
    compiled
        Whether its blocks are compiled.

    Raises
    ------
    NotPackable
        If the architecture's attention, cache or output is not one that a pack can express.
    NotCompilable
        If packs can be read, but not by compiled blocks.
    """

    def __init__(self, model: Any, *, compiled: bool = False) -> None:
        _refuse_by_name(model)
        self.windows: list[int | None] = []
        self.compiled = False
        self._model = sharing_copy(model, ATTENTION)
        self._trunk = _trunk(self._model)
        _refuse_by_trial(model, self)
        if compiled:
            self._compile(model)

    def _compile(self, model: Any) -> None:
        self.compiled = True
        try:
            compile_blocks(self._trunk, model.config.get_text_config(decoder=True).num_hidden_layers)
            self._model.set_attn_implementation(COMPILED_ATTENTION)
            _refuse_by_trial(model, self)
        except (NotPackable, *FOREIGN_FAILURES) as reason:
            # Whatever the compiler says, which is why the trial failed: packs were read before.
            failure = reason.__cause__ or reason
            raise NotCompilable(" ".join(str(failure).split())[:200]) from reason

    def hidden(self, pack: Pack, pool: KeyValuePool) -> torch.Tensor:
        """Pass a pack through the trunk, and its keys and values into the pool; return its states, [scored, width]."""
        device = input_device(self._model)
        arrays = (pack.ids, pack.positions, pack.scored, pack.new_slots, pack.key_slots)
        ids, positions, scored, new_slots, key_slots = to_device(arrays, device)
        storage = _PoolCache(pool, new_slots, key_slots)
        layout = PackLayout(pack, device, storage if self.compiled else None)
        with compiler_settings() if self.compiled else nullcontext():
            output = self._trunk(
                input_ids=ids[None],
                position_ids=positions[None],
                past_key_values=PassingCache() if self.compiled else storage,
                use_cache=True,
                pack_layout=layout,
            )
        self.windows = layout.windows
        states: torch.Tensor = output.last_hidden_state[0]
        return states if len(scored) == len(states) else states[scored]

    def logprobs(self, hidden: torch.Tensor, tokens: torch.Tensor, most_logits: int) -> torch.Tensor:
        """Return the log-probabilities of some tokens, given the trunk's states.

        Parameters
        ----------
        hidden
            [scored, width]
        tokens
            Ids, [scored, choice].
        most_logits
            The most numbers in a tensor of logits.

        Returns
        -------
        torch.Tensor
            Nats, float32, [scored, choice].
        """
        if not len(hidden):
            return torch.empty(tokens.shape, dtype=torch.float32, device=hidden.device)
        at_once = max(1, most_logits // self._model.get_output_embeddings().weight.shape[0])
        parts = zip(torch.split(hidden, at_once), torch.split(tokens, at_once), strict=True)
        return torch.cat(
            [token_logprobs(self._logits(states)[None], chosen[None])[0].float() for states, chosen in parts]
        )

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits of states, [scored, vocabulary], by the model's own head, with its scaling and capping."""
        trunk = self._trunk

        def stand_in(*_: Any, **__: Any) -> Any:
            return _Output(hidden[None])

        # The model's forward is its trunk and what follows it: with the trunk stood in for, what follows it.
        trunk.forward = stand_in
        try:
            ids = torch.zeros(1, len(hidden), dtype=torch.long, device=hidden.device)
            logits: torch.Tensor = self._model(input_ids=ids, use_cache=False).logits[0]
        finally:
            del trunk.forward
        return logits


class NotPackable(Exception):  # noqa: N818 - a reason, caught where the path is chosen, never shown as an error
    """The reason why a model cannot read packs."""


class NotCompilable(Exception):  # noqa: N818 - a reason, as above
    """The reason why the blocks of a model that reads packs cannot be compiled."""


class _Output(dict[str, Any]):
    """The output of a trunk: its last states, and nothing of all else that an architecture may look for."""

    def __init__(self, hidden: torch.Tensor) -> None:
        super().__init__(last_hidden_state=hidden)
        self.last_hidden_state = hidden

    def __getattr__(self, name: str) -> None:
        return None

    def __getitem__(self, key: Any) -> Any:
        return self.last_hidden_state if key in {0, "last_hidden_state"} else None


def _trunk(model: Any) -> Any:
    """Return the part of a model that turns ids into states, which its projection is applied to."""
    base = model.base_model
    # OPT and its kin keep another module between the model and its decoder, and call the decoder itself.
    inner = getattr(base, "decoder", None)
    return inner if isinstance(inner, torch.nn.Module) and not hasattr(base, "layers") else base


def _refuse_by_name(model: Any) -> None:
    if len(devices := computing_devices(model)) > 1:
        raise NotPackable(f"its layers are on several devices ({', '.join(sorted(devices))})")
    if getattr(model, "_is_stateful", False):
        raise NotPackable("it has recurrent layers, whose state cannot be cut at a token")
    if not getattr(model, "_supports_attention_backend", False):
        raise NotPackable("its attention cannot be replaced (it does not follow transformers' attention interface)")
    parameters = getattr(model.config.get_text_config(decoder=True), "rope_parameters", None) or {}
    for settings in (parameters, *(value for value in parameters.values() if isinstance(value, dict))):
        if settings.get("rope_type") in _ROTARY_BY_LENGTH:
            raise NotPackable("its rotary embeddings depend on the longest position of a call")


def _refuse_by_trial(model: Any, packed: PackedModel) -> None:
    """Compare one pack of three rows, two of which continue the first, with whole sequences."""
    size = model.get_input_embeddings().weight.shape[0]
    base = np.arange(3, 10) % size
    rows = [(0, base), (4, np.arange(11, 14) % size), (7, np.arange(12, 14) % size)]
    pool = KeyValuePool()
    own = [pool.allocate(len(ids)) for _, ids in rows]
    pack = Pack.of(
        [PackRow(ids, own[0][:start], slots, ids[:, None]) for (start, ids), slots in zip(rows, own, strict=True)]
    )
    device = input_device(model)
    with torch.no_grad():
        try:
            hidden = packed.hidden(pack, pool)
            found = packed._logits(hidden).float()
        # Whatever the architecture's own code does with a pack that it does not know.
        except FOREIGN_FAILURES as error:
            raise NotPackable(f"its layers cannot read packs ({' '.join(str(error).split())[:100]})") from error
        expected = torch.cat(
            [
                model(torch.from_numpy(np.concatenate([base[:start], ids])).to(device)[None], use_cache=False)
                .logits[0, start:]
                .float()
                for start, ids in rows
            ]
        )
    tolerance = 0.1 if rounding_bytes(model) == 2 else 1e-3
    distance, spread = (found - expected).norm(), (expected - expected.mean(dim=-1, keepdim=True)).norm()
    if not bool(distance <= tolerance * spread):
        raise NotPackable("packs give other logits than whole sequences")
    refuse_hidden_windows(model.config.get_text_config(decoder=True), packed.windows)


def refuse_hidden_windows(config: Any, asked: list[int | None]) -> None:
    """Refuse a model whose layers keep a window in their masks alone, which a trial shorter than the window misses.

    Parameters
    ----------
    config
        The configuration of the part that reads text.
    asked
        The window that each layer asked its attention for.

    Raises
    ------
    NotPackable
        If a layer did not ask for the window that it has.
    """
    kinds = getattr(config, "layer_types", None) or []
    if "chunked_attention" in kinds:
        raise NotPackable("some layers attend within chunks, of which their attention is not told")
    window = getattr(config, "sliding_window", None)
    if not window or getattr(config, "use_sliding_window", True) is False:
        return
    narrow = kinds.count("sliding_attention") if kinds else config.num_hidden_layers
    if asked.count(window) != narrow:
        raise NotPackable("some layers have a sliding window of which their attention is not told")
