"""What writes the responses of teachers and students: transformers' own generation, or vLLM where it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, get_args

import torch

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.scorer import Capability, Scorer, SpanLogprobs
from tokimp.errors import UnsupportedError
from tokimp.models.batching import PositionBudget
from tokimp.models.fingerprint import model_fingerprint
from tokimp.models.generation import continue_prompts, take_end_tokens
from tokimp.models.loading import context_length, load_model

Engine = Literal["transformers", "vllm"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

# Positions of a batch by kind of device (else the last), those still to be written included: fixed, so that the same
# run makes the same batches. More than a scorer's, because only prompts pass at once; the rest is memory.
_BATCH_POSITIONS = {"cpu": 8192, "": 65536}


class WritingEngine(Scorer):
    """A model that writes and gives no other numbers, so that nothing has to be built around it."""

    capabilities = frozenset({Capability.GENERATION})

    def logprobs(self, chains: Sequence[TokenizedChain]) -> list[SpanLogprobs]:
        """Refuse: whoever wants log-probabilities loads a scorer."""
        raise UnsupportedError(f"{self.backend!r} only writes; tokimp.load_scorer({self.model_id!r}) scores")


class TransformersEngine(WritingEngine):
    """A model of transformers as it comes, with its own fused attention and without a backend's hooks.

    Parameters
    ----------
    model, device, dtype, tokenizer, trust_remote_code
        As of `tokimp.models.loading.load_model`.
    batch_positions
        The most token positions of a batch, those to be written included; it halves when memory runs out.

    Raises
    ------
    ScorerError, UnsupportedError
        As of `tokimp.models.loading.load_model`.
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
    ) -> None:
        loaded = load_model(model, device=device, dtype=dtype, tokenizer=tokenizer, trust_remote_code=trust_remote_code)
        self._model = loaded.model
        self.tokenizer: Any = loaded.tokenizer
        self.model_id, self.device, self.dtype = loaded.model_id, loaded.device, loaded.dtype
        self.tokens_forwarded = 0
        self.context_length = context_length(loaded.model.config.get_text_config(decoder=True))
        self.end_tokens = take_end_tokens(loaded.model, loaded.tokenizer)
        fixed = _BATCH_POSITIONS.get(torch.device(self.device).type, _BATCH_POSITIONS[""])
        self.budget = PositionBudget(fixed if batch_positions is None else batch_positions)

    @cached_property
    def _fingerprint(self) -> str:
        return model_fingerprint(self._model)

    def fingerprint(self) -> str:
        """Return a digest of configuration, weights and precision."""
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
        seed: int = 0,
    ) -> list[list[str]]:
        """Continue each prompt `n` times; see `tokimp.contracts.scorer.Scorer.generate`."""
        return continue_prompts(
            self, self._model, prompts, max_new_tokens=max_new_tokens, n=n, temperature=temperature, seed=seed
        )


def load_engine(model: Any, engine: Engine = "transformers", **options: Any) -> Scorer:
    """Load a model to write with.

    Parameters
    ----------
    model
        A hub id, a folder, a GGUF file, a transformers model object, or ``"tiny"``; for vLLM a hub id or a folder.
    engine
        ``transformers``, or ``vllm``, which has to be installed.
    **options
        As of `TransformersEngine` or `tokimp.models.vllm_writing.VllmEngine`: ``device``, ``dtype``, ...

    Raises
    ------
    ScorerError, UnsupportedError
        If the model cannot be loaded, or there is no such engine here.
    """
    if engine == "transformers":
        return TransformersEngine(model, **options)
    if engine == "vllm":
        from tokimp.models.vllm_writing import VllmEngine  # noqa: PLC0415 - vLLM is not part of an installation

        return VllmEngine(model, **options)
    raise UnsupportedError(f"there is no engine {engine!r}; engines are {', '.join(ENGINES)}")
