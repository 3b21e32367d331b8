"""Write text with vLLM, an optional library that nothing else in tokimp needs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.writing.engine import WritingEngine
from tokimp.storage.digests import model_digest


class VllmEngine(WritingEngine):
    """A model that vLLM runs.

    At a temperature above 0, each prompt has its own seed. Still, vLLM's numbers depend on which prompts share a
    batch, so another release, device or batch may write other texts.

    Parameters
    ----------
    model
        A hub id or a folder.
    device
        ``auto`` only: vLLM runs on the device that it was built for.
    dtype
        ``auto``, ``bfloat16``, ``float16`` or ``float32``.
    trust_remote_code
        Whether a hub repository may run its own Python code here.
    **options
        Further parameters of ``vllm.LLM``: ``tensor_parallel_size``, ``gpu_memory_utilization``, ``max_model_len``, ...

    Raises
    ------
    UnsupportedError
        If vLLM is not installed, or `device` is not ``auto``.
    ScorerError
        If vLLM cannot load the model.
    """

    backend = "vllm"

    def __init__(
        self, model: Any, *, device: str = "auto", dtype: str = "auto", trust_remote_code: bool = False, **options: Any
    ) -> None:
        try:
            import vllm  # noqa: PLC0415 - not part of an installation
        except ImportError as error:
            raise UnsupportedError(
                f"the engine 'vllm' needs vLLM, which cannot be imported ({error}); pip install vllm in this "
                "environment, or use engine='transformers'"
            ) from error
        if not isinstance(model, str | Path):
            raise ScorerError(f"vLLM loads a hub id or a folder, not a {type(model).__name__}")
        if device != "auto":
            raise UnsupportedError(
                f"vLLM runs on the device it was built for, so device={device!r} cannot be asked for; leave it out"
            )
        if "device_map" in options:
            raise UnsupportedError(
                "vLLM spreads a model over GPUs itself and takes no device_map; give tensor_parallel_size= (in "
                "Python), or use engine='transformers'"
            )
        self._vllm: Any = vllm
        try:
            self._llm: Any = vllm.LLM(
                model=str(model), dtype=dtype, trust_remote_code=trust_remote_code, generation_config="vllm", **options
            )
        # vLLM raises many kinds of exceptions: for a bad model, too little memory, an old driver.
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise ScorerError(f"vLLM cannot load {str(model)!r} ({type(error).__name__}: {reason})") from error
        config = self._llm.llm_engine.model_config
        self.tokenizer: Any = self._llm.get_tokenizer()
        self.model_id, self.device, self.dtype = str(model), "vllm", str(config.dtype).removeprefix("torch.")
        self.context_length: int | None = config.max_model_len
        self.tokens_forwarded = 0

    def fingerprint(self) -> str:
        """Return a digest of the model's files, or of the commit that a hub id stands for.

        Raises
        ------
        UnsupportedError
            If the model is a hub id whose commit vLLM does not tell.
        """
        content = model_digest(self.model_id)
        if not content:
            config = self._llm.llm_engine.model_config.hf_config
            commit = getattr(config, "_commit_hash", None)
            if commit is None:
                raise UnsupportedError(
                    f"the commit of {self.model_id!r} is not known, so that runs cannot be told apart; give a folder"
                )
            content = f"{self.model_id} {commit}"
        return hashlib.sha256(f"vllm {version('vllm')} {self.dtype} {content}".encode()).hexdigest()

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
        if not prompts:
            return []
        repeats = n if temperature else 1
        settings = [
            self._vllm.SamplingParams(
                n=repeats,
                temperature=temperature,
                top_p=top_p,
                max_tokens=max_new_tokens,
                # From this seed vLLM makes one for each of the n texts.
                seed=hash((seed, index)) % 2**31 if temperature else None,
            )
            for index in range(len(prompts))
        ]
        inputs = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        requests = self._llm.generate(inputs, settings, use_tqdm=False)
        texts = []
        for prompt, request in zip(prompts, requests, strict=True):
            self.tokens_forwarded += len(prompt) + sum(len(output.token_ids) for output in request.outputs)
            outputs = [str(output.text) for output in sorted(request.outputs, key=lambda output: output.index)]
            # Without sampling, all continuations of a prompt are equal, so one was written.
            texts.append([outputs[repeat % repeats] for repeat in range(n)])
        return texts
