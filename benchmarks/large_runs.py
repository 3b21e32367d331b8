"""Measure how time, memory and files of a comparison grow with its chains: cheap estimators, a scorer without a model.

    OMP_NUM_THREADS=1 python benchmarks/large_runs.py 500 1000 2000 5000

Each size runs in a process of its own, so that its peak memory is its own. The last lines give the exponent of each
quantity: the slope of its logarithm over that of the number of chains, 1 for what grows linearly.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tokimp as ti
from tokimp.chains.chain import Chain
from tokimp.testing import AdditiveScorer
from tokimp.testing.random_models import byte_tokenizer

ESTIMATORS = ("position", "surprisal", "uniform", "uniform:seed=1", "uniform:seed=2", "uniform:seed=3")
# Log-probabilities, so none is above 0.
LETTERS = {chr(code): (code * 37 % 17 - 16) / 8 for code in range(32, 127)}


def chains(count: int) -> list[Chain]:
    """Return chains of 60 to 140 reasoning tokens, as long as those of GSM8K, always the same."""
    generator = np.random.default_rng(0)
    made = []
    for number in range(count):
        length = int(generator.integers(60, 141))
        reasoning = "".join(generator.choice(list("abcdefghij 0123456789+="), length))
        made.append(Chain(f"c{number}", f"What is {number}?", reasoning, str(number)))
    return made


def scorer() -> AdditiveScorer:
    """Return a scorer that takes no time to speak of."""
    made = AdditiveScorer(LETTERS)
    made.tokenizer = byte_tokenizer()
    return made


def measure(count: int, estimators: tuple[str, ...], folder: Path) -> dict[str, float]:
    """Return the seconds of each step of a run, those of the CPU, its peak memory in MB, and its files in MB."""
    given, measured = chains(count), dict[str, float]()

    def timed(name: str, step: Callable[[], Any]) -> Any:
        began, began_cpu = time.perf_counter(), time.process_time()
        result = step()
        measured[name] = time.perf_counter() - began
        # What other programs do on the machine changes these least.
        measured[f"{name} CPU"] = time.process_time() - began_cpu
        measured[f"{name} MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        shown = f"{measured[name]:.1f} s, {measured[f'{name} CPU']:.1f} of the CPU, {measured[f'{name} MB']:.0f} MB"
        print(f"{count}: {name}: {shown}", file=sys.stderr, flush=True)
        return result

    def run() -> Any:
        return ti.compare(given, scorer(), estimators, prompt_format="plain", out=folder)

    def save() -> Any:
        ti.save(result, folder / "results.nc")

    def load() -> Any:
        return ti.load(folder / "results.nc")

    result = timed("compare", run)
    timed("again", run)
    timed("save", save)
    loaded = timed("load", load)

    def agreement() -> Any:
        return ti.analyze(loaded, "agreement")

    timed("agreement", agreement)
    measured["cells MB on disk"] = sum(path.stat().st_size for path in (folder / "cells").iterdir()) / 1e6
    measured["results.nc MB on disk"] = (folder / "results.nc").stat().st_size / 1e6
    return measured


def main() -> None:
    """Measure each size that the command line names, and print the growth."""
    if sys.argv[1] == "--one":
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(int(sys.argv[2]), ESTIMATORS, Path(folder))))
        return
    sizes = [int(size) for size in sys.argv[1:]]
    rows = []
    for size in sizes:
        command = [sys.executable, __file__, "--one", str(size)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603 - this very file
        rows.append(json.loads(done.stdout))
    for name in rows[0]:
        values = [row[name] for row in rows]
        slope = np.polyfit(np.log(sizes), np.log(np.maximum(values, 1e-9)), 1)[0] if len(sizes) > 1 else np.nan
        print(f"{name:24}", *(f"{value:10.1f}" for value in values), f"   exponent {slope:.2f}")


if __name__ == "__main__":
    main()
