"""Greedy pruning on a GPU, before packs and with them: seconds, positions, calls and share of the peak rate.

    python benchmarks/gpu.py --out figures.json [--device cuda] [--small]

Two models with random weights, which cost what trained ones cost: the shape of Qwen2.5-7B in bfloat16, and that of
SmolLM2-135M in float32. ``--small`` takes tiny ones, to try the script without a GPU.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, Qwen2Config

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.compare.run_cell import run_cell
from tokimp.contracts.objective import Joint
from tokimp.contracts.registry import load, load_estimator

SHAPES: dict[str, tuple[Any, torch.dtype]] = {
    "7B": (
        Qwen2Config(
            vocab_size=152_064,
            hidden_size=3584,
            intermediate_size=18_944,
            num_hidden_layers=28,
            num_attention_heads=28,
            num_key_value_heads=4,
            max_position_embeddings=32_768,
        ),
        torch.bfloat16,
    ),
    "135M": (
        LlamaConfig(
            vocab_size=49_152,
            hidden_size=576,
            intermediate_size=1536,
            num_hidden_layers=30,
            num_attention_heads=9,
            num_key_value_heads=3,
            max_position_embeddings=8192,
            tie_word_embeddings=True,
        ),
        torch.float32,
    ),
}
SMALL = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
PROMPT, ANSWER = 80, 12


def random_chain(reasoning: int, units: int, vocabulary: int, seed: int = 0) -> TokenizedChain:
    """Return a chain of random tokens, divided into units of about equal length."""
    generator = np.random.default_rng(seed)
    ids = [tuple(generator.integers(10, vocabulary, size).tolist()) for size in (PROMPT, reasoning, ANSWER)]
    borders = np.linspace(0, reasoning, units + 1).astype(int)
    parts = tuple(tuple(range(begin, end)) for begin, end in zip(borders[:-1], borders[1:], strict=True))
    text = "x" * reasoning
    return TokenizedChain(
        chain=Chain(f"random-{seed}", "?", text, "y"),
        prompt_ids=ids[0],
        reasoning_ids=ids[1],
        answer_ids=ids[2],
        reasoning_offsets=tuple((place, place + 1) for place in range(reasoning)),
        units=parts,
        unit="token" if units == reasoning else "sentence",
        prompt_format="plain",
    )


def build(name: str, device: str, small: bool) -> tuple[Any, torch.dtype]:
    """Return a model with random weights on the device."""
    config, dtype = SHAPES[name]
    if small:
        config.update({**SMALL, "num_key_value_heads": 2, "vocab_size": 4096})
    with torch.device(device):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    return model.eval(), dtype


def peak_rate(device: str, dtype: torch.dtype) -> float:
    """Return the rate of large matrix products, operations a second."""
    side = 8192 if device.startswith("cuda") else 1024
    one, other = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    for _ in range(3):
        one @ other
    synchronize(device)
    started = time.perf_counter()
    for _ in range(10):
        one @ other
    synchronize(device)
    return 10 * 2 * side**3 / (time.perf_counter() - started)


def synchronize(device: str) -> None:
    """Wait until the device has finished."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def split(scorer: Any, device: str) -> dict[str, float]:
    """Let a scorer take the time of its trunk and projection from now on; return where it is added up, in seconds."""
    times = {"trunk": 0.0, "projection": 0.0}
    packed = scorer.decoder.packed
    if packed is None:
        return times
    for name, method in (("trunk", "hidden"), ("projection", "logprobs")):

        def timed(*values: Any, _call: Any = getattr(type(packed), method), _name: str = name) -> Any:
            synchronize(device)
            started = time.perf_counter()
            result = _call(packed, *values)
            synchronize(device)
            times[_name] += time.perf_counter() - started
            return result

        setattr(packed, method, timed)
    return times


def measured(scorer: Any, device: str, work: Callable[[], Any], peak: float) -> dict[str, float]:
    """Return what a piece of work takes."""
    times = split(scorer, device)
    calls, positions = scorer.work.calls, scorer.work.positions
    operations = scorer.work.operations(scorer.size)
    synchronize(device)
    started = time.perf_counter()
    work()
    synchronize(device)
    seconds = time.perf_counter() - started
    done = scorer.work.operations(scorer.size) - operations
    read, made = scorer.work.positions - positions, scorer.work.calls - calls
    return {
        "seconds": round(seconds, 3),
        **{name: round(spent, 3) for name, spent in times.items()},
        "positions": read,
        "calls": made,
        "positions_a_call": round(read / max(1, made)),
        "of_peak": round(done / seconds / peak, 4),
        "memory_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2) if device.startswith("cuda") else 0.0,
    }


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--models", default="7B,135M")
    parser.add_argument("--backends", default="nnsight,transformer_lens")
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("--without", default="(none)", help="leave out cases whose name holds this text")
    parser.add_argument("--tokens", type=int, default=121)
    parser.add_argument("--seconds", type=float, default=500.0, help="begin nothing new after so many")
    arguments = parser.parse_args()
    began = time.perf_counter()
    tokenizer = AutoTokenizer.from_pretrained(Path(__file__).parents[1] / "tokimp" / "chains" / "datasets" / "tiny")
    device = arguments.device
    figures: dict[str, Any] = {"torch": torch.__version__}
    if device.startswith("cuda"):
        figures["device"] = torch.cuda.get_device_name()

    def note(name: str, figure: Any) -> None:
        figures[name] = figure
        print(f"{time.perf_counter() - began:6.1f} s  {name}: {figure}", flush=True)
        arguments.out.write_text(json.dumps(figures, indent=1))

    def prune(scorer: Any, specification: str, chain: TokenizedChain) -> Any:
        return run_cell(chain, scorer, load_estimator(specification), Joint(), seed=0)

    for name in arguments.models.split(","):
        for backend in arguments.backends.split(","):
            model, dtype = build(name, device, arguments.small)
            peak = peak_rate(device, dtype)
            vocabulary = model.config.vocab_size
            chains = [random_chain(arguments.tokens, arguments.tokens, vocabulary, seed) for seed in range(8)]
            note(f"{name} {dtype} matrix products, TFLOP/s", round(peak / 1e12, 1))
            cases: list[tuple[str, bool, str, list[TokenizedChain]]] = []
            for packed in (True, False):
                what = "packed" if packed else "batches"
                cases += [
                    (f"{what}, exact", packed, "greedy:strategy=exact", chains[:1]),
                    (f"{what}, fast", packed, "greedy:strategy=fast", chains[:1]),
                    (f"{what}, leave-one-out", packed, "leave_one_out", chains[:1]),
                    (f"{what}, 27 sentences of 645 tokens", packed, "greedy", [random_chain(645, 27, vocabulary)]),
                ]
            cases.insert(1, ("packed, exact, 8 chains at once", True, "greedy:strategy=exact", chains))
            cases.insert(3, ("packed, fast, 8 chains at once", True, "greedy:strategy=fast", chains))
            scorers: dict[bool, Any] = {}
            for label, packed, specification, asked in cases:
                if arguments.only not in label or arguments.without in label:
                    continue
                if time.perf_counter() - began > arguments.seconds:
                    break
                if packed not in scorers:
                    scorers.clear()
                    gc.collect()
                    scorers[packed] = load("scorers", backend)(
                        model,
                        device=device,
                        dtype=str(dtype).removeprefix("torch."),
                        tokenizer=tokenizer,
                        packed=packed,
                    )
                    prune(scorers[packed], "greedy:keep_ratio=0.9", random_chain(30, 30, vocabulary))  # warm up
                scorer = scorers[packed]
                try:
                    if len(asked) == 1:
                        work = partial(prune, scorer, specification, asked[0])
                    else:
                        tasks = [
                            partial(lambda chain, own, how: prune(own, how, chain), chain, how=specification)
                            for chain in asked
                        ]
                        work = partial(raise_first, scorer, tasks)
                    note(f"{name} {backend} {label}", measured(scorer, device, work, peak))
                except Exception as error:  # noqa: BLE001 - the other figures are wanted all the same
                    note(f"{name} {backend} {label}", f"{type(error).__name__}: {error}"[:300])
            del model, scorers
            gc.collect()
            if device.startswith("cuda"):
                torch.cuda.empty_cache()


def raise_first(scorer: Any, tasks: list[Any]) -> None:
    """Run tasks side by side; raise the first error."""
    for outcome in scorer.run_side_by_side(tasks):
        if isinstance(outcome, BaseException):
            raise outcome


if __name__ == "__main__":
    main()
