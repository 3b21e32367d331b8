"""The best checkpoint of a training that is moved or damaged: its weights are kept, or the training says so."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tokimp_trl.checkpoints
import tokimp_trl.fitting
from safetensors.torch import load_file
from transformers import TrainerCallback

from tests.distillation.students import CHAINS, save_student
from tokimp.contracts.train_settings import TrainSettings
from tokimp.distillation.train.train import train
from tokimp.errors import TrainingError

pytestmark = pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="needs the extra distill")

# With far too high a rate the first epoch is the best, and later ones are worse.
SETTINGS = TrainSettings(
    epochs=4,
    batch_size=4,
    learning_rate=3,
    device="cpu",
    schedule="constant",
    warmup=0,
    validation=0.25,
    validation_seed=7,
    keep_best=True,
)


class AtStep(TrainerCallback):
    """Does something once a step is done, and its checkpoint if it has one."""

    def __init__(self, step: int, do: Callable[[Path], object]) -> None:
        self.step, self.do = step, do

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Do it."""
        if state.global_step == self.step:
            self.do(Path(args.output_dir))


def stop(_: Path) -> None:
    """End the training as Ctrl-C does."""
    raise KeyboardInterrupt


def damage(checkpoint: Path) -> None:
    """Change one byte of a checkpoint's weights."""
    path = checkpoint / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def same(first: Path, second: Path) -> bool:
    """Whether two finished trainings have the very same weights."""
    one, other = (load_file(folder / "model" / "model.safetensors") for folder in (first, second))
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small random student."""
    return save_student(tmp_path_factory.mktemp("student"))


@pytest.fixture(scope="module")
def finished(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training that ran through, whose best epoch was not its last."""
    out = tmp_path_factory.mktemp("finished")
    report = train(student, CHAINS, out, SETTINGS)
    losses = [point["validation_loss"] for point in report.history if "validation_loss" in point]
    assert losses.index(min(losses)) == 0
    return out


@pytest.fixture(scope="module")
def interrupted(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training that was interrupted in its third epoch."""
    out = tmp_path_factory.mktemp("interrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokimp_trl.fitting, "_callbacks", lambda _: [AtStep(8, stop)])
        with pytest.raises(KeyboardInterrupt):
            train(student, CHAINS, out, SETTINGS)
    assert {folder.name for folder in (out / "checkpoints").iterdir()} == {"checkpoint-3", "checkpoint-6"}
    return out


@pytest.mark.parametrize("left_behind", ["nothing", "other weights"])
def test_a_moved_training_keeps_its_best_epoch(
    student: Path, finished: Path, interrupted: Path, tmp_path: Path, left_behind: str
) -> None:
    """The best checkpoint is looked for in the folder as it is now; what lies where the training began is not read."""
    begun = Path(shutil.copytree(interrupted, tmp_path / "begun"))
    state = begun / "checkpoints" / "checkpoint-6" / "trainer_state.json"
    state.write_text(state.read_text().replace(str(interrupted), str(begun)))
    seal_again(state.parent)
    moved = Path(shutil.copytree(begun, tmp_path / "moved"))
    shutil.rmtree(begun)
    if left_behind == "other weights":
        shutil.copytree(interrupted / "checkpoints" / "checkpoint-6", begun / "checkpoints" / "checkpoint-3")
    train(student, CHAINS, moved, SETTINGS)
    assert same(moved, finished)


def seal_again(checkpoint: Path) -> None:
    """Seal a checkpoint whose state was changed on purpose."""
    tokimp_trl.checkpoints.seal(checkpoint, tokimp_trl.checkpoints.tokens_read(checkpoint))


def test_an_interrupted_training_whose_best_checkpoint_is_damaged_begins_anew(
    student: Path, finished: Path, interrupted: Path, tmp_path: Path
) -> None:
    """A later checkpoint is whole, but the training could not end with the best weights: they are made again."""
    shutil.copytree(interrupted, tmp_path, dirs_exist_ok=True)
    damage(tmp_path / "checkpoints" / "checkpoint-3")
    report = train(student, CHAINS, tmp_path, SETTINGS)
    assert report.tokens == 4 * report.trained_tokens
    assert same(tmp_path, finished)


def test_a_best_checkpoint_that_is_damaged_at_the_end_is_not_kept(
    student: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damaged while the training goes on, it is named at the end, and the same call makes it again."""
    with monkeypatch.context() as patch:
        patch.setattr(
            tokimp_trl.fitting, "_callbacks", lambda _: [AtStep(10, lambda folder: damage(folder / "checkpoint-3"))]
        )
        with pytest.raises(TrainingError, match=r"checkpoint-3, the best checkpoint, is damaged; the same call"):
            train(student, CHAINS, tmp_path, SETTINGS)
    assert not (tmp_path / "model").exists()
    train(student, CHAINS, tmp_path, SETTINGS)
    assert same(tmp_path, finished)


def test_where_the_last_epoch_counts_a_damaged_best_one_does_not_matter(
    student: Path, interrupted: Path, tmp_path: Path
) -> None:
    """Without keep_best, the last whole checkpoint is gone on from, whatever became of the best."""
    last = replace(SETTINGS, keep_best=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokimp_trl.fitting, "_callbacks", lambda _: [AtStep(8, stop)])
        with pytest.raises(KeyboardInterrupt):
            train(student, CHAINS, tmp_path, last)
    damage(tmp_path / "checkpoints" / "checkpoint-3")
    assert train(student, CHAINS, tmp_path, last).continued
    assert not same_as_interrupted(tmp_path, interrupted)


def same_as_interrupted(out: Path, interrupted: Path) -> bool:
    """Whether a finished training has the weights of an interrupted one's best checkpoint."""
    weights = load_file(out / "model" / "model.safetensors")
    best = load_file(interrupted / "checkpoints" / "checkpoint-3" / "model.safetensors")
    return all(weights[name].equal(best[name]) for name in best)
