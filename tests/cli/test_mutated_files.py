"""Every kind of file that is read, damaged at random: it is refused in words, done again, or gives the same numbers.

Results (`tests/results/test_integrity.py`) and the records of cells (`tests/storage/test_record_log.py`) have tests of
their own.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokimp_categorizers.llm_cache import LabelCache
from tokimp_surrogate.fitted_surrogate import load_surrogate, save_surrogate
from tokimp_trl.checkpoints import last_whole, seal, tokens_read

import tokimp as ti
from tests.distillation.scripted import ScriptedEngine, Sums, sample_sums
from tests.mutations import damaged
from tests.plugins.surrogate.test_fitted_surrogate import surrogate
from tokimp.distillation.ask.evaluate import Evaluation, evaluate
from tokimp.distillation.ask.sample import SampleReport
from tokimp.distillation.plan.plan import Plan
from tokimp.distillation.train.train import TrainReport
from tokimp.errors import TokimpError
from tokimp.storage.asked_models import remember_model, was_asked_for
from tokimp.storage.atomic import write_object
from tokimp.storage.batch_log import BatchLog
from tokimp.storage.json_file import read_object
from tokimp.storage.run_folder import RunFolder

PLAN = Path(__file__).parents[2] / "examples" / "paper_plan.yaml"
IDENTITY = {"model": {"model_id": "m", "fingerprint": "f"}, "seed": 1, "chains": ["a", "b"]}
ASKED = {"model": "m", "url": "u", "text": "one two"}
LABELS = ["other", "other"]


@dataclass(frozen=True)
class Stored:
    """A kind of file.

    Attributes
    ----------
    make
        Writes files into an empty folder.
    read
        Reads them, and returns what they hold.
    mutated
        Which of the files are damaged, by a pattern.
    sealed
        Whether damage is always seen: what is read is then the same as before, or in part missing.
    """

    make: Callable[[Path], object]
    read: Callable[[Path], Any]
    mutated: str
    sealed: bool = True


def make_batches(folder: Path) -> None:
    """Write some batches."""
    log = BatchLog(folder)
    for number in range(6):
        log.append({"texts": [f"é {number}"] * 3, "tokens": number})


def make_run(folder: Path) -> None:
    """Begin a run."""
    with RunFolder(folder, IDENTITY, "work", origin={"file": "x"}) as run:
        run.note_threads(2)


def read_run(folder: Path) -> Any:
    """Go on with the run."""
    with RunFolder(folder, IDENTITY, "work", origin={"file": "x"}) as run:
        return run.run, run.threads, run.created


def make_report(folder: Path) -> None:
    """Write the report of a training."""
    values: dict[str, Any] = {field.name: 3 for field in dataclasses.fields(TrainReport)}
    history = [{"step": 1, "epoch": 0.5, "loss": 2.5}, {"step": 3, "epoch": 1.0, "validation_loss": 2.25}]
    write_object(folder / "report.json", TrainReport(**{**values, "history": history}).described())


def make_checkpoints(folder: Path) -> None:
    """Write two checkpoints, of which the earlier one is the best."""
    for step in (3, 6):
        checkpoint = folder / f"checkpoint-{step}"
        checkpoint.mkdir()
        (checkpoint / "trainer_state.json").write_text(json.dumps({"best_global_step": 3}))
        (checkpoint / "model.safetensors").write_bytes(bytes(range(256)) * 4)
        seal(checkpoint, 100 * step)


def read_checkpoints(folder: Path) -> Any:
    """Return the checkpoint to go on from, and what it says; nothing if there is none."""
    checkpoint = last_whole(folder, keeps_best=True)
    # Checkpoint 3 is as good as 6: only more is done again.
    return None if checkpoint is None else int(checkpoint.name[-1]) * 100 == tokens_read(checkpoint)


def make_object(folder: Path) -> None:
    """Write a step's record, or a cell's outcome."""
    write_object(folder / "cell.json", {"accuracy": 0.25, "seconds": {"train": 1.5}, "name": "a/é"})


def read_asked(folder: Path) -> Any:
    """Return whether a model counts as asked for that was not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tokimp.storage.asked_models._file", lambda: folder / "asked.jsonl")
        patch.setattr("tokimp.storage.asked_models._asked_in_this_process", set())
        return was_asked_for("hub/another")


def make_asked(folder: Path) -> None:
    """Remember that a model was asked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tokimp.storage.asked_models._file", lambda: folder / "asked.jsonl")
        patch.setattr("tokimp.storage.asked_models._asked_in_this_process", set())
        remember_model("hub/one")
        assert was_asked_for("hub/one")


def make_chains(folder: Path) -> None:
    """Write chains in the forms that are read."""
    own = {
        "id": "a",
        "question": "?",
        "reasoning": "one two",
        "answer": "#### 3",
        "gold": "3",
        "filler": [{"start": 0, "end": 3}],
        "category": [{"start": 0, "end": 3, "label": "x"}],
    }
    other = {"id": "b", "question": "How many?", "reasoning": "2 + 2 = 4", "answer": "#### 4", "system": "Be brief."}
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in (own, other, {**own, "id": "é"})]
    (folder / "chains.jsonl").write_text("".join(lines), encoding="utf-8")


READ: dict[str, Stored] = {
    "batches of sample and evaluate": Stored(make_batches, lambda folder: BatchLog(folder).batches, "batches.jsonl"),
    "record of a run": Stored(make_run, read_run, "run.json"),
    "report of a training": Stored(make_report, lambda folder: TrainReport.load(folder).described(), "report.json"),
    "report of a sampling": Stored(
        lambda folder: sample_sums(folder, ScriptedEngine()), SampleReport.load, "report.json"
    ),
    "evaluation": Stored(
        lambda folder: evaluate(ScriptedEngine(), Sums(), Sums().questions(limit=20), folder),
        Evaluation.load,
        "[ae]*.json*",
    ),
    "record of a step or cell": Stored(make_object, lambda folder: read_object(folder / "cell.json"), "cell.json"),
    "checkpoints of a training": Stored(make_checkpoints, read_checkpoints, "checkpoint-*/*"),
    "fitted surrogate": Stored(
        lambda folder: save_surrogate(surrogate(), folder / "fitted.safetensors"),
        lambda folder: _plain(load_surrogate(folder / "fitted.safetensors")),
        "fitted.safetensors",
    ),
    "labels of a language model": Stored(
        lambda folder: LabelCache(folder).keep(ASKED, LABELS),
        lambda folder: LabelCache(folder).get(ASKED, len(LABELS)),
        "*.json",
    ),
    "models asked for": Stored(make_asked, read_asked, "asked.jsonl"),
    "chains": Stored(make_chains, lambda folder: ti.load_chains(folder / "chains.jsonl"), "chains.jsonl", sealed=False),
    "plan": Stored(
        lambda folder: shutil.copy(PLAN, folder / "plan.yaml"),
        lambda folder: Plan.load(folder / "plan.yaml"),
        "plan.yaml",
        sealed=False,
    ),
}


def _plain(value: Any) -> Any:
    """Return a dataclass of arrays as something that can be compared."""
    return json.loads(json.dumps(dataclasses.asdict(value), default=lambda array: array.tolist()))


def _missing_or_same(read: Any, whole: Any) -> bool:
    """Whether what was read is what was written, or it or parts of it are missing and are done again."""
    if read is None or read == whole:
        return True
    return isinstance(read, list) and all(one is None or one == whole[place] for place, one in enumerate(read))


@pytest.mark.parametrize("trials", [15, pytest.param(1500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", READ)
def test_a_damaged_file_is_refused_or_unharmed(kind: str, trials: int, tmp_path: Path) -> None:
    """What is read of a damaged file is the same, is missing, or is an error that names the file in a short line."""
    stored = READ[kind]
    made = tmp_path / "made"
    made.mkdir()
    stored.make(made)
    whole = stored.read(made)
    victims = sorted(path for path in made.glob(stored.mutated) if path.is_file())
    assert victims
    generator = np.random.default_rng(trials)
    refused = 0
    for trial in range(trials):
        folder = Path(shutil.copytree(made, tmp_path / "trial"))
        victim = folder / victims[int(generator.integers(len(victims)))].relative_to(made)
        content = damaged(victim.read_bytes(), generator, kinds=7)
        victim.write_bytes(content)
        start = time.perf_counter()
        try:
            read = stored.read(folder)
        except TokimpError as error:
            refused += 1
            message = str(error)
            assert str(folder) in message or victim.name in message, (trial, message)
        except (OSError, ValueError):
            # Only the plain reader of objects leaves it to its callers to name the file.
            assert kind == "record of a step or cell", trial
            refused += 1
        else:
            refused += read is None
            assert not stored.sealed or _missing_or_same(read, whole), (trial, read)
        assert time.perf_counter() - start < 30, trial
        shutil.rmtree(folder)
    assert refused or kind in {"models asked for", "batches of sample and evaluate", "checkpoints of a training"}
