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
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

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
SHAPES["135M-half"] = (SHAPES["135M"][0], torch.bfloat16)
SMALL = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
PROMPT, ANSWER = 80, 12


def random_chain(reasoning: int, units: int, vocabulary: int, seed: int = 0) -> TokenizedChain:
    """Return a chain of random tokens, divided into units of about equal length."""
    generator = np.random.default_rng(seed)
    ids = [tuple(generator.integers(10, vocabulary, size).tolist()) for size in (PROMPT, reasoning, ANSWER)]
    borders = np.linspace(0, reasoning, units + 1).astype(int)
    parts = tuple(tuple(range(begin, end)) for begin, end in pairwise(borders))
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


class Spans:
    """How long parts of the work take on the device, without waiting for it in between."""

    def __init__(self, device: str) -> None:
        self._on_gpu = device.startswith("cuda")
        self._spans: list[tuple[str, Any, Any]] = []

    def of(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        """Return a function that does the same, and whose time counts under a name."""

        def function(*values: Any) -> Any:
            begin = self._mark()
            result = call(*values)
            self._spans.append((name, begin, self._mark()))
            return result

        return function

    def _mark(self) -> Any:
        if not self._on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each part, once the device has finished."""
        sums = {"trunk": 0.0, "projection": 0.0}
        for name, begin, end in self._spans:
            sums[name] += begin.elapsed_time(end) / 1e3 if self._on_gpu else end - begin
        return sums


def split(scorer: Any, device: str) -> Spans:
    """Let a scorer take the time of its trunk and projection from now on."""
    spans, packed = Spans(device), scorer.decoder.packed
    for name, method in (("trunk", "hidden"), ("projection", "logprobs")) if packed is not None else ():
        # The method of the class, because that of the instance may have been timed before.
        setattr(packed, method, spans.of(partial(getattr(type(packed), method), packed), name))
    return spans


def measured(scorer: Any, device: str, work: Callable[[], Any], peak: float) -> dict[str, float]:
    """Return what a piece of work takes."""
    spans = split(scorer, device)
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
        **{name: round(spent, 3) for name, spent in spans.seconds().items()},
        "positions": read,
        "calls": made,
        "positions_a_call": round(read / max(1, made)),
        "of_peak": round(done / seconds / peak, 4),
        "memory_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2) if device.startswith("cuda") else 0.0,
    }


class Figures:
    """The figures measured so far, which are written to a file and printed as they come."""

    def __init__(self, path: Path, device: str) -> None:
        self._path = path
        self._began = time.perf_counter()
        self._figures: dict[str, Any] = {"torch": torch.__version__}
        if device.startswith("cuda"):
            self._figures["device"] = torch.cuda.get_device_name()

    @property
    def seconds(self) -> float:
        """The seconds since the first moment."""
        return time.perf_counter() - self._began

    def note(self, name: str, figure: Any) -> None:
        """Add a figure."""
        self._figures[name] = figure
        print(f"{self.seconds:6.1f} s  {name}: {figure}", flush=True)
        self._path.write_text(json.dumps(self._figures, indent=1))


class Case(NamedTuple):
    """A piece of work to measure."""

    label: str
    packed: bool
    estimator: str
    chains: list[TokenizedChain]
    from_scratch: bool = False


def all_cases(lengths: list[int], vocabulary: int) -> list[Case]:
    """Return what is measured with each model and backend: all at the first length, both strategies at the others."""
    first = lengths[0]
    chains = [random_chain(first, first, vocabulary, seed) for seed in range(8)]
    exact, fast, sentences = "greedy:strategy=exact", "greedy:strategy=fast", "27 sentences of 645 tokens"
    cases = [
        Case("packed, exact", True, exact, chains[:1]),
        Case("packed, exact, 8 chains at once", True, exact, chains),
        Case("packed, fast", True, fast, chains[:1]),
        Case("packed, fast, 8 chains at once", True, fast, chains),
    ]
    for length in lengths[1:]:
        longer = [random_chain(length, length, vocabulary)]
        cases.append(Case(f"packed, fast, {length} tokens", True, fast, longer))
        cases.append(Case(f"packed, exact, {length} tokens", True, exact, longer))
    for packed in (True, False):
        what = "packed" if packed else "batches"
        cases += [
            Case(f"{what}, leave-one-out", packed, "leave_one_out", chains[:1]),
            Case(f"{what}, {sentences}", packed, "greedy", [random_chain(645, 27, vocabulary)]),
        ]
    return [
        *cases,
        Case("batches, exact", False, exact, chains[:1]),
        Case("batches, from scratch", False, exact, chains[:1], from_scratch=True),
        Case("batches, fast", False, fast, chains[:1]),
    ]


def prune(chain: TokenizedChain, scorer: Any, specification: str) -> Any:
    """Let an estimator rank a chain."""
    return run_cell(chain, scorer, load_estimator(specification), Joint(), seed=0)


def work_of(case: Case, scorer: Any) -> Callable[[], Any]:
    """Return the work of a case: one chain alone, or several side by side."""
    if len(case.chains) == 1:
        return partial(prune, case.chains[0], scorer, case.estimator)
    return partial(raise_first, scorer, [partial(prune, chain, specification=case.estimator) for chain in case.chains])


def measure_model(name: str, backend: str, arguments: argparse.Namespace, tokenizer: Any, figures: Figures) -> None:
    """Measure the cases that were asked for with one model, read by one backend."""
    device = arguments.device
    model, dtype = build(name, device, arguments.small)
    peak = peak_rate(device, dtype)
    vocabulary = model.config.vocab_size
    figures.note(f"{name} {dtype} matrix products, TFLOP/s", round(peak / 1e12, 1))
    scorers: dict[bool, Any] = {}
    for case in all_cases([int(length) for length in arguments.tokens.split(",")], vocabulary):
        if arguments.only not in case.label or arguments.without in case.label:
            continue
        if figures.seconds > arguments.seconds:
            break
        if case.packed not in scorers:
            scorers.clear()
            gc.collect()
            loading = time.perf_counter()
            scorers[case.packed] = load("scorers", backend)(
                model,
                device=device,
                dtype=str(dtype).removeprefix("torch."),
                tokenizer=tokenizer,
                packed=case.packed,
                compiled=arguments.compiled and case.packed,
            )
            prune(random_chain(30, 30, vocabulary), scorers[case.packed], "greedy:keep_ratio=0.9")  # warm up
            synchronize(device)
            what = scorers[case.packed].batching
            figures.note(f"{name} {backend} ready ({what}), seconds", round(time.perf_counter() - loading, 1))
            if arguments.profile:
                profile(scorers[case.packed], case.chains[0], device)
                arguments.profile = False
        scorer = scorers[case.packed].reusing(reuse_kv=False) if case.from_scratch else scorers[case.packed]
        label = f"{name} {backend} {case.label}"
        try:
            figures.note(label, measured(scorer, device, work_of(case, scorer), peak))
        except Exception as error:  # noqa: BLE001 - the other figures are wanted all the same
            figures.note(label, f"{type(error).__name__}: {error}"[:300])


def profile(scorer: Any, chain: TokenizedChain, device: str) -> None:
    """Print which operations the last steps of a chain spend time on, on the processor and on the device."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.startswith("cuda"):
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    for specification in ("greedy:strategy=exact,keep_ratio=0.95", "greedy:strategy=fast,keep_ratio=0.95,audit=0"):
        synchronize(device)
        with torch.profiler.profile(activities=activities) as profiled:
            started = time.perf_counter()
            prune(chain, scorer, specification)
            synchronize(device)
            seconds = time.perf_counter() - started
        print(f"\n{specification}: {seconds:.3f} s", flush=True)
        for column in ("self_cpu_time_total", *(["self_device_time_total"] if len(activities) == 2 else [])):
            print(profiled.key_averages().table(sort_by=column, row_limit=18, max_name_column_width=60), flush=True)


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
    parser.add_argument("--compiled", action="store_true", help="compile the blocks that read packs")
    parser.add_argument("--tokens", default="121,200,300", help="lengths of the reasoning")
    parser.add_argument("--profile", action="store_true", help="print what a few steps of the first case spend time on")
    parser.add_argument("--seconds", type=float, default=500.0, help="begin nothing new after so many")
    arguments = parser.parse_args()
    figures = Figures(arguments.out, arguments.device)
    tokenizer = AutoTokenizer.from_pretrained(Path(__file__).parents[1] / "tokimp" / "chains" / "datasets" / "tiny")
    for name in arguments.models.split(","):
        for backend in arguments.backends.split(","):
            measure_model(name, backend, arguments, tokenizer, figures)
            gc.collect()
            if arguments.device.startswith("cuda"):
                torch.cuda.empty_cache()


def raise_first(scorer: Any, tasks: list[Any]) -> None:
    """Run tasks side by side; raise the first error."""
    for outcome in scorer.run_side_by_side(tasks):
        if isinstance(outcome, BaseException):
            raise outcome


if __name__ == "__main__":
    main()
