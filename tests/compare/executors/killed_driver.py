"""A comparison, an analysis and a sampling that are killed again and again, workers and driver, until they are through.

Each is a function of a folder, an executor and a folder of notes, in which whoever is at a piece leaves a file.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr

import tokimp as ti
from tests.compare.executors.byte_scorer import Patient, chains, scorer
from tests.compare.executors.survived_kills import run_under_kills
from tests.distillation.scripted import ScriptedEngine, Sums
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.progress import Progress
from tokimp.contracts.scorer import Capability
from tokimp.contracts.scorer_recipe import ScorerRecipe
from tokimp.distillation.ask.sample import sample

_COUNT = 40
_SECONDS = 0.02
_FILES = ("chains.jsonl", "wrong.jsonl", "unsplit.jsonl", "dropped.jsonl", "report.json", "batches.jsonl")


def tell(progress: Progress) -> None:
    """Print how far it has come, and whether the last piece was kept; read by whoever kills."""
    print(progress.done, progress.kept, flush=True)  # noqa: T201 - see above


def compare(folder: Path, executor: str, notes: str) -> None:
    """Compare chains of letters."""
    result = ti.compare(
        chains(_COUNT),
        scorer(),
        [Patient(_SECONDS, notes=notes), "leave_one_out"],
        prompt_format="plain",
        seed=3,
        out=folder,
        executor=executor,
        progress=tell,
    )
    ti.save(result, folder / "result.nc")


class Slow(Analysis):
    """Asks for the likelihood of each answer, slowly, and leaves a note of where it is.

    Parameters
    ----------
    notes
        A folder in which each process that asks leaves a file of its number.
    """

    name = "slow"
    requires: ClassVar[frozenset[Capability]] = frozenset({Capability.LOGPROBS})

    def __init__(self, notes: str = "") -> None:
        self.notes = notes

    def parameters(self) -> dict[str, Any]:
        """Leave out the notes: they are no part of what is found out."""
        return {}

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return the likelihoods, [chain]."""
        answers = []
        for index, chain in enumerate(inputs.scoring.chains):

            def likelihood(chain: Any = chain) -> dict[str, Any]:
                (Path(self.notes) / str(os.getpid())).touch()
                time.sleep(_SECONDS)
                return {"answer": inputs.scoring.scorer.logprobs([chain])[0].answer.sum(keepdims=True)}

            answers.append(inputs.keep(index, likelihood)["answer"][0])
            inputs.report(index + 1, len(inputs.scoring.chains), chain.id, self.name)
        return xr.Dataset({"answer": ("chain", np.array(answers))})


def analyze(folder: Path, executor: str, notes: str) -> None:
    """Analyse a comparison of chains of letters."""
    result = ti.compare(chains(_COUNT), scorer(), ["position"], prompt_format="plain")
    analyzed = ti.analyze(result, Slow(notes), scorer=scorer(), folder=folder, executor=executor, progress=tell)
    ti.save(analyzed, folder / "result.nc")


class SlowEngine(ScriptedEngine):
    """Writes slowly what it is told to, and leaves a note of where it is; built as `load_engine` builds an engine."""

    backend = "tests.compare.executors.killed_driver:SlowEngine"

    def __init__(self, notes: str, **_options: Any) -> None:
        super().__init__()
        self.notes = notes
        self.recipe = ScorerRecipe(notes, self.backend)

    def generate(self, prompts: Sequence[Sequence[int]], **settings: Any) -> list[list[str]]:
        """Leave a note, and write."""
        (Path(self.notes) / str(os.getpid())).touch()
        time.sleep(_SECONDS)
        return super().generate(prompts, **settings)


def write(folder: Path, executor: str, notes: str) -> None:
    """Sample sums."""
    questions = Sums().questions(limit=_COUNT)
    sample(Sums(), questions, SlowEngine(notes), folder, n=2, batch_questions=1, executor=executor, progress=tell)


def main() -> None:
    """Run once, as a process that may be killed; the arguments are what, the folder, the executor and the notes."""
    what, folder, executor, notes = sys.argv[1:]
    functions: dict[str, Callable[[Path, str, str], None]] = {"compare": compare, "analyze": analyze, "write": write}
    functions[what](Path(folder), executor, notes)


def survive(folder: Path, executor: str, kills: int, seed: int, what: str = "compare") -> dict[str, int]:
    """Run something under kills until it ends; raise unless its bits are those of an unbroken run here.

    Parameters
    ----------
    folder
        An empty folder.
    executor
        Where it runs.
    kills, seed
        How many processes are killed on the way, and the seed of the choice of which worker and when.
    what
        ``compare``, ``analyze`` or ``write``.

    Returns
    -------
    dict
        How often a worker and how often the driver was killed.
    """
    broken, unbroken, notes = folder / "broken", folder / "unbroken", folder / "notes"
    for made in (broken, unbroken, notes):
        made.mkdir()
    program = "from tests.compare.executors.killed_driver import main; main()"
    killed = run_under_kills(program, [what, str(broken), executor, str(notes)], notes, kills=kills, seed=seed)
    {"compare": compare, "analyze": analyze, "write": write}[what](unbroken, "local", str(notes))
    if what == "write":
        for name in _FILES:
            assert (broken / name).read_bytes() == (unbroken / name).read_bytes(), name
        return killed
    one, other = (ti.load(made / "result.nc") for made in (broken, unbroken))
    for name in ("importance", "rank", "loglik_joint", "logprob", "full_loglik_joint"):
        np.testing.assert_array_equal(one[name].to_numpy(), other[name].to_numpy(), err_msg=name)
    if what == "analyze":
        (first,), (second,) = (tree["analysis"].children.values() for tree in (one, other))
        np.testing.assert_array_equal(first["answer"].to_numpy(), second["answer"].to_numpy())
        assert first.attrs["tokens_forwarded"] == second.attrs["tokens_forwarded"]
    return killed
