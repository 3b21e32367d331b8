"""How much faster several workers compute the embedded chains than one: python benchmarks/executors.py --help."""

from __future__ import annotations

import argparse
import os
import time

# One thread a worker, as `tokimp compare` gives the embedded model; torch reads it when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import tokimp as ti
from tokimp.compare.worker_scorer import scorer_of_workers
from tokimp.models.quiet_libraries import quiet_libraries


def seconds(executor: str, estimator: str, workers: int) -> float:
    """Return how long all cells take once every worker has loaded the model."""
    with ti.load_executor(executor, workers=workers) as running:
        recipe = ti.load_scorer("tiny", device="cpu").recipe
        assert recipe is not None  # noqa: S101 - loaded by name
        scorer = scorer_of_workers(running, recipe)
        chains = ti.demo_chains()
        # A short run first: every worker gets ready.
        ti.compare(chains[: 2 * workers], scorer, ["position"], executor=running)
        started = time.perf_counter()
        ti.compare(chains, scorer, [estimator], executor=running)
        return time.perf_counter() - started


def main() -> None:
    """Measure with one worker and with several, in turns, and print the best of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executor", default="processes", help="processes or ray")
    parser.add_argument("--estimator", default="greedy")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--times", type=int, default=3)
    arguments = parser.parse_args()
    quiet_libraries()
    taken: dict[int, list[float]] = {1: [], arguments.workers: []}
    for _ in range(arguments.times):
        for workers, measured in taken.items():
            measured.append(seconds(arguments.executor, arguments.estimator, workers))
    best = {workers: min(measured) for workers, measured in taken.items()}
    for workers, measured in taken.items():
        print(f"{workers} worker(s): {best[workers]:.2f} s (all: {', '.join(f'{one:.2f}' for one in measured)})")
    print(f"{best[1] / best[arguments.workers]:.2f} times as fast, {arguments.executor}, {arguments.estimator}")


if __name__ == "__main__":
    main()
