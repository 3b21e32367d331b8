"""A simulated Ray cluster: what a cell costs the driver, and whether one is lost or done twice while nodes come and go.

python benchmarks/cluster.py --help
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

# Workers and this process compute with one thread each; torch reads it when it is imported.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

import tokimp as ti
from tokimp.contracts.progress import Progress
from tokimp.contracts.scorer import SpanLogprobs
from tokimp.models.quiet_libraries import quiet_libraries
from tokimp.testing.random_models import byte_tokenizer


class SleepingScorer(ti.Scorer):
    """A model that takes a fixed time for every chain."""

    capabilities = frozenset({ti.Capability.LOGPROBS})
    backend, device, dtype, context_length = "sleeping", "cpu", "float32", None

    def __init__(self, model: str, *, device: str, dtype: str, tokenizer: Any = None) -> None:
        self.model_id = model
        self.tokenizer = byte_tokenizer()

    def fingerprint(self) -> str:
        """Return what tells this scorer from another."""
        return f"sleeps for {self.model_id} s"

    def logprobs(self, chains: Any) -> list[SpanLogprobs]:
        """Sleep, and return a constant."""
        time.sleep(float(self.model_id))
        self.tokens_forwarded += sum(map(len, chains))
        return [
            SpanLogprobs(
                np.full(len(chain.reasoning_ids), -1, np.float32), np.full(len(chain.answer_ids), -1, np.float32)
            )
            for chain in chains
        ]


class Noting(ti.ImportanceEstimator):
    """Asks for log-probabilities, and notes each cell that it computes in a file of its process."""

    name = "noting"
    requires = frozenset({ti.Capability.LOGPROBS})

    def __init__(self, folder: str = "", column: int = 0) -> None:
        self.folder = folder
        self.column = column

    def estimate(self, chain: ti.TokenizedChain, scorer: ti.Scorer, objective: ti.Objective) -> ti.Importance:
        """Return the surprisals."""
        surprisal = -scorer.logprobs([chain])[0].reasoning
        with Path(self.folder, str(os.getpid())).open("a", encoding="utf-8") as notes:
            notes.write(f"{chain.id} {self.column}\n")
        return ti.Importance(ti.sum_over_units(chain, surprisal))


class ComingAndGoing:
    """Adds a node to a simulated cluster and takes one away, in turns, every few seconds.

    Ray starts a node in the main thread only, so whoever runs in it says when there is time; work waits meanwhile.
    """

    def __init__(self, cluster: Any, nodes: int, cores: int, every: float) -> None:
        self._cluster, self._cores, self._every = cluster, cores, every
        self._nodes = [cluster.add_node(num_cpus=cores) for _ in range(nodes)]
        self._next = time.perf_counter() + every
        self.added = self.removed = 0
        self.seconds = 0.0

    def step(self) -> None:
        """Add a node or take one away, if it is time."""
        started = time.perf_counter()
        if started < self._next:
            return
        if self.added == self.removed:
            self._nodes.append(self._cluster.add_node(num_cpus=self._cores))
            self.added += 1
        else:
            self._cluster.remove_node(self._nodes.pop(0), allow_graceful=False)
            self.removed += 1
        now = time.perf_counter()
        self.seconds, self._next = self.seconds + now - started, now + self._every


def main() -> None:
    """Run a comparison on a cluster whose nodes come and go, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--sleep", type=float, default=0.02, help="seconds that the model takes for a chain")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--cores", type=int, default=2, help="workers a node")
    parser.add_argument("--every", type=float, default=15.0, help="seconds between changes; 0 for none")
    arguments = parser.parse_args()
    quiet_libraries()
    import ray  # noqa: PLC0415 - an extra
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - as above

    store = 80 * 2**20
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": store})
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    every = arguments.every or float("inf")
    folder = Path(tempfile.mkdtemp(prefix="tokimp-cluster-"))
    (folder / "notes").mkdir()
    chains = [ti.Chain(f"c{number}", "?", "abcd", "z") for number in range(arguments.cells // 2)]
    scorer = ti.load_scorer(str(arguments.sleep), backend=f"{Path(__file__).resolve()}:SleepingScorer")
    estimators = [Noting(str(folder / "notes"), column) for column in range(2)]
    alive: list[int] = []
    moments: list[float] = []
    worked: list[float] = []

    def note(progress: Progress) -> None:
        alive.append(progress.workers or 0)
        moments.append(time.perf_counter())
        worked.append(time.process_time())
        nodes.step()
        if progress.done % max(1, progress.total // 20) == 0:
            print(f"{progress.done} of {progress.total}, {progress.workers} workers, {progress.lost} lost", flush=True)

    nodes = ComingAndGoing(cluster, arguments.nodes, arguments.cores, every)
    result = ti.compare(
        chains,
        scorer,
        estimators,
        prompt_format="plain",
        out=folder / "run",
        executor="ray:retries=5",
        progress=note,
    )
    times = Counter(line for file in (folder / "notes").iterdir() for line in file.read_text().splitlines())
    cells = result["importance"].sizes["estimator"] * result.sizes["chain"]
    again = sum(times.values()) - len(times)
    # From the first cell on: what went before is the start of workers. The chains themselves are scored first.
    taken, mean_alive = moments[-1] - moments[0] - nodes.seconds, float(np.mean(alive))
    each = taken / max(1, cells - 1)
    print(f"nodes added {nodes.added}, removed {nodes.removed}; workers alive on average {mean_alive:.1f}")
    print(f"{cells} cells in {taken:.1f} s from the first to the last: {1 / each:.1f} a second")
    print(f"a cell: {1000 * mean_alive * each:.2f} ms of a worker; the model slept {1000 * arguments.sleep:g} ms of it")
    driver = (worked[-1] - worked[0]) / max(1, cells - 1)
    print(f"the driver worked {1000 * driver:.2f} ms for each (processor time: what else runs here does not count)")
    print(f"cells missing: {cells - len(times)}; done more than once: {again}; in {folder}")
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
