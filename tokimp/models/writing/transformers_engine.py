"""Write text with transformers' own generation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from tokimp.models.batching import PositionBudget
from tokimp.models.configuration import context_length
from tokimp.models.fingerprint import model_fingerprint
from tokimp.models.generation import continue_prompts, take_end_tokens
from tokimp.models.loading import load_model
from tokimp.models.trial import trial_ids
from tokimp.models.writing.engine import WritingEngine
from tokimp.models.writing_manner import writing_manner

# Token positions of a batch, prompts and text still to be written together, by kind of device ("" for any other).
# The numbers are fixed, so that the same run makes the same batches. They are larger than a scorer's, because only the
# prompts pass through the model at once; the rest of a batch takes memory only.
_BATCH_POSITIONS = {"cpu": 8192, "": 65536}


class TransformersEngine(WritingEngine):
    """A transformers model that generates with its own fused attention and without a backend's hooks.

    Parameters
    ----------
    model, device, dtype, tokenizer, trust_remote_code, device_map, offload_folder, quantization
        As for `tokimp.models.loading.load_model`.
    batch_positions
        The most token positions of a batch, those to be written included. It is halved when memory runs out.

    Raises
    ------
    ScorerError, UnsupportedError
        As for `tokimp.models.loading.load_model`.
    """

    backend = "transformers"

    def __init__(
        self,
        model: Any,
        *,
        device: str = "auto",
        dtype: str = "auto",
        tokenizer: Any = None,
        trust_remote_code: bool = False,
        batch_positions: int | None = None,
        device_map: str | Path | Mapping[str, Any] | None = None,
        offload_folder: str | Path | None = None,
        quantization: Any = None,
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
        )
        self._model = loaded.model
        self.tokenizer: Any = loaded.tokenizer
        self.model_id, self.device, self.dtype = loaded.model_id, loaded.device, loaded.dtype
        self.loading = loaded.settings
        self.tokens_forwarded = 0
        self.context_length = context_length(loaded.model.config.get_text_config(decoder=True))
        self.end_tokens = take_end_tokens(loaded.model, loaded.tokenizer)
        self.rotary, self.writing = loaded.rotary, writing_manner(loaded.model, trial_ids(loaded.model))
        fixed = _BATCH_POSITIONS.get(torch.device(self.device).type, _BATCH_POSITIONS[""])
        self.budget = PositionBudget(fixed if batch_positions is None else batch_positions)

    @cached_property
    def _fingerprint(self) -> str:
        return model_fingerprint(self._model)

    def fingerprint(self) -> str:
        """Return a digest of the model's configuration, weights and precision."""
        return self._fingerprint

    def tensor(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return ids as a tensor on the model's device, [row, position]."""
        return torch.tensor(ids, dtype=torch.long, device=self.device)

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
        """Continue each prompt `n` times; see `tokimp.contracts.scorer.Scorer.generate`."""
        return continue_prompts(
            self,
            self._model,
            prompts,
            max_new_tokens=max_new_tokens,
            n=n,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
        )
