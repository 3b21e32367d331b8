"""Training a student: what it learns, what is kept, and what happens when it is interrupted."""

from __future__ import annotations

import errno
import importlib.util
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tokimp_trl.fitting
import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, TrainerCallback

import tokimp as ti
from tests.distillation.students import CHAINS, save_student
from tokimp.contracts.train_settings import Lora, TrainSettings
from tokimp.distillation.train.examples import training_examples
from tokimp.distillation.train.train import TrainReport, train
from tokimp.errors import ResumeError, ScorerError, StorageError, TrainingError
from tokimp.testing.random_models import byte_tokenizer

SETTINGS = TrainSettings(epochs=3, batch_size=4, learning_rate=5e-3, device="cpu", schedule="constant", warmup=0)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a saved model."""
    auto: Any = AutoModelForCausalLM
    state: dict[str, torch.Tensor] = auto.from_pretrained(folder, dtype=torch.float32).state_dict()
    return state


def same(first: Path, second: Path) -> bool:
    """Whether two saved models have the very same weights."""
    one, other = weights(first), weights(second)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def mean_loss(model: Any) -> float:
    """Return the mean loss, in nats, over what the student is to write of all chains, computed by hand."""
    total, count = 0.0, 0
    for example in training_examples(CHAINS, byte_tokenizer()):
        with torch.no_grad():
            logprobs = model(torch.tensor([example.input_ids])).logits[0].log_softmax(-1)
        for place in range(example.prompt_length, len(example.input_ids)):
            total -= float(logprobs[place - 1, example.input_ids[place]])
            count += 1
    return total / count


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small random student."""
    return save_student(tmp_path_factory.mktemp("student"))


@pytest.fixture(scope="module")
def finished(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training that ran through."""
    out = tmp_path_factory.mktemp("finished")
    train(student, CHAINS, out, SETTINGS)
    return out


def test_the_loss_counts_what_the_student_is_to_write_and_nothing_else(student: Path, tmp_path: Path) -> None:
    """The loss of the first step is the mean over reasoning, answer and end, computed by hand without TRL."""
    report = train(student, CHAINS, tmp_path, replace(SETTINGS, batch_size=len(CHAINS), max_steps=1))
    auto: Any = AutoModelForCausalLM
    by_hand = mean_loss(auto.from_pretrained(student, dtype=torch.float32).eval())
    assert report.history[0]["loss"] == pytest.approx(by_hand, abs=1e-4)
    assert report.steps == 1


def test_a_student_gets_better_and_any_backend_loads_it(student: Path, finished: Path) -> None:
    """The loss falls, the model changes, and load_scorer takes the folder, tokenizer included."""
    report = TrainReport.load(finished)
    assert report.chains == len(CHAINS)
    assert report.steps == 9
    assert report.final_loss < report.history[0]["loss"] - 0.5
    assert report.tokens == 3 * report.trained_tokens > 0
    assert not (finished / "checkpoints").exists()
    assert not same(student, finished / "model")
    scorer = ti.load_scorer(finished / "model")
    tokens = ti.tokenize_chain(CHAINS[0], scorer.tokenizer)
    assert scorer.logprobs([tokens])[0].answer.mean() > ti.load_scorer(student).logprobs([tokens])[0].answer.mean()


def test_losses_at_the_ends_are_means_over_tenths(student: Path, tmp_path: Path) -> None:
    """Of twelve steps the first and the last two count, in the report as in its file, which is read back."""
    report = train(student, CHAINS, tmp_path, replace(SETTINGS, epochs=4, schedule="cosine", warmup=0.25))
    losses = [point["loss"] for point in report.history]
    assert len(losses) == report.steps == 12
    assert report.first_loss == pytest.approx(sum(losses[:2]) / 2)
    assert report.final_loss == pytest.approx(sum(losses[-2:]) / 2)
    stored = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["loss"]
    assert stored == {"first_tenth": report.first_loss, "last_tenth": report.final_loss, "steps_of_a_tenth": 2}
    assert TrainReport.load(tmp_path) == report


def test_the_seed_decides(student: Path, finished: Path, tmp_path: Path) -> None:
    """The same seed gives the same weights, another one others."""
    train(student, CHAINS, tmp_path / "again", SETTINGS)
    assert same(tmp_path / "again" / "model", finished / "model")
    train(student, CHAINS, tmp_path / "other", replace(SETTINGS, seed=1))
    assert not same(tmp_path / "other" / "model", finished / "model")


class StopAt(TrainerCallback):
    """Interrupts a training at a step, as Ctrl-C would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Interrupt."""
        if state.global_step == self.step:
            raise KeyboardInterrupt


def test_every_step_is_measured_once(student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured every fourth of nine steps, interrupted and continued: no step is left out, or counted for another."""
    settings = replace(SETTINGS, checkpoint_steps=5)
    losses = [point["loss"] for point in train(student, CHAINS, tmp_path / "whole", settings).history]
    assert len(losses) == 9
    own = tokimp_trl.fitting._arguments

    def seldom(*given: Any, **options: Any) -> Any:
        arguments = own(*given, **options)
        arguments.logging_steps = 4
        return arguments

    monkeypatch.setattr(tokimp_trl.fitting, "_arguments", seldom)
    with monkeypatch.context() as patch:
        patch.setattr(tokimp_trl.fitting, "_callbacks", lambda _: [StopAt(7)])
        with pytest.raises(KeyboardInterrupt):
            train(student, CHAINS, tmp_path / "broken", settings)
    report = train(student, CHAINS, tmp_path / "broken", settings)
    # Every fourth step, the ends of the epochs, and the checkpoint from which it was continued.
    assert [point["step"] for point in report.history] == [3, 4, 5, 6, 8, 9]
    since = 0
    for point in report.history:
        up_to = int(point["step"])
        assert point["loss"] == pytest.approx(sum(losses[since:up_to]) / (up_to - since))
        since = up_to
    # Checkpoint 5 is in the middle of an epoch, whose order must go on as it was drawn.
    assert same(tmp_path / "broken" / "model", tmp_path / "whole" / "model")


@pytest.mark.parametrize(
    ("damaged", "how"),
    [
        ([], ""),
        (["trainer_state.json"], "cut short"),
        (["model.safetensors"], "one byte"),
        (["optimizer.pt"], "one byte"),
        (["scheduler.pt"], "cut short"),
        (["tokimp.json"], "one byte"),
        (["every file"], "cut short"),
    ],
)
def test_an_interrupted_training_ends_with_the_same_weights(
    student: Path,
    finished: Path,
    tmp_path: Path,
    interrupted: Path,
    *,
    damaged: list[str],
    how: str,
) -> None:
    """It goes on from the last checkpoint that is whole, whatever file of a later one is damaged, and counts it all."""
    checkpoints = tmp_path / "checkpoints"
    shutil.copytree(interrupted, tmp_path, dirs_exist_ok=True)
    assert {folder.name for folder in checkpoints.iterdir()} == {"checkpoint-3", "checkpoint-6"}
    files = [
        file for file in (checkpoints / "checkpoint-6").iterdir() if file.name in damaged or damaged == ["every file"]
    ]
    assert bool(files) == bool(damaged)
    for file in files:
        content = bytearray(file.read_bytes())
        if how == "one byte":
            content[len(content) // 2] ^= 1
        file.write_bytes(content if how == "one byte" else content[: len(content) // 2])
    report = train(student, CHAINS, tmp_path, SETTINGS)
    assert report.continued is True
    assert report.steps == 9
    assert report.tokens == 3 * report.trained_tokens
    assert [point["step"] for point in report.history] == [
        point["step"] for point in TrainReport.load(finished).history
    ]
    assert same(tmp_path / "model", finished / "model")


@pytest.fixture(scope="module")
def interrupted(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training that was interrupted after two of three epochs."""
    out = tmp_path_factory.mktemp("interrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokimp_trl.fitting, "_callbacks", lambda _: [StopAt(8)])
        with pytest.raises(KeyboardInterrupt):
            train(student, CHAINS, out, SETTINGS)
    return out


def test_a_training_whose_checkpoints_are_all_damaged_begins_anew(
    student: Path, finished: Path, tmp_path: Path, interrupted: Path
) -> None:
    """Without a checkpoint that is whole the training starts again, and ends with the same weights."""
    shutil.copytree(interrupted, tmp_path, dirs_exist_ok=True)
    for file in (tmp_path / "checkpoints").glob("*/optimizer.pt"):
        file.write_bytes(b"")
    report = train(student, CHAINS, tmp_path, SETTINGS)
    assert report.tokens == 3 * report.trained_tokens
    assert same(tmp_path / "model", finished / "model")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0; PytorchStreamWriter failed"),
    ],
)
def test_a_full_disk_is_told_and_what_is_whole_is_kept(
    student: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Whichever library meets the full disk, folder and remedy are said, and the call goes on from what is whole."""
    own = tokimp_trl.fitting._Trainer._save_optimizer_and_scheduler

    def full(self: Any, folder: str) -> None:
        if folder.endswith("-6"):
            raise error
        own(self, folder)

    with monkeypatch.context() as patch:
        patch.setattr(tokimp_trl.fitting._Trainer, "_save_optimizer_and_scheduler", full)
        with pytest.raises(
            StorageError, match=r"checkpoints cannot be written .*free some space.* goes on from checkpoint-3"
        ):
            train(student, CHAINS, tmp_path, SETTINGS)
    assert [folder.name for folder in (tmp_path / "checkpoints").iterdir()] == ["checkpoint-3"]
    train(student, CHAINS, tmp_path, SETTINGS)
    assert same(tmp_path / "model", finished / "model")


def test_a_training_of_one_step_learns(student: Path, tmp_path: Path) -> None:
    """The default warm-up does not make up the whole training: one step changes the weights."""
    one_step = TrainSettings(device="cpu", max_steps=1, batch_size=len(CHAINS), learning_rate=1e-3)
    assert train(student, CHAINS, tmp_path / "one", one_step).history[-1]["learning_rate"] > 0
    assert not same(student, tmp_path / "one" / "model")


def test_a_warmup_that_never_ends_is_refused(student: Path, tmp_path: Path) -> None:
    """A number of warm-up steps that the training does not reach is an error that says how many there are."""
    with pytest.raises(TrainingError, match=r"warmup=9 is not below the 9 steps"):
        train(student, CHAINS, tmp_path, replace(SETTINGS, schedule="linear", warmup=9))


def test_patience_counts_on_after_an_interruption(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that goes by patience ends at the same epoch with the same weights, interrupted or not."""
    settings = replace(SETTINGS, epochs=6, validation=0.25, validation_seed=7, patience=2, learning_rate=3)
    whole = train(student, CHAINS, tmp_path / "whole", settings)
    assert whole.steps < 6 * math.ceil(whole.chains / 4)
    own = tokimp_trl.fitting._callbacks
    with monkeypatch.context() as patch:
        patch.setattr(tokimp_trl.fitting, "_callbacks", lambda s: [*own(s), StopAt(whole.steps - 1)])
        with pytest.raises(KeyboardInterrupt):
            train(student, CHAINS, tmp_path / "broken", settings)
    broken = train(student, CHAINS, tmp_path / "broken", settings)
    assert broken.continued
    assert broken.steps == whole.steps
    assert same(tmp_path / "broken" / "model", tmp_path / "whole" / "model")


def test_a_loss_that_is_no_number_ends_the_training(student: Path, tmp_path: Path) -> None:
    """A rate far too high is an error that says at which step and what to do; no model is kept."""
    with pytest.raises(TrainingError, match=r"step \d+: the loss is no longer a number.*lower learning_rate"):
        train(student, CHAINS, tmp_path, replace(SETTINGS, learning_rate=1e30))
    assert not (tmp_path / "model").exists()


def test_what_fails_within_a_training_is_told_as_such(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of torch in the middle of a training is a TrainingError with its kind and text."""

    class Fails(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            raise torch.OutOfMemoryError("no memory is left")

    monkeypatch.setattr(tokimp_trl.fitting, "_callbacks", lambda _: [Fails()])
    with pytest.raises(TrainingError, match=r"OutOfMemoryError: no memory is left.*batch_size"):
        train(student, CHAINS, tmp_path, SETTINGS)


def test_a_finished_training_is_not_repeated(student: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same call returns the report at once; the model is not touched."""
    monkeypatch.setattr(tokimp_trl.fitting, "fit", None)
    before = (finished / "model" / "model.safetensors").stat().st_mtime_ns
    report = train(student, CHAINS, finished, SETTINGS)
    assert report.continued
    assert (finished / "model" / "model.safetensors").stat().st_mtime_ns == before


def test_another_training_is_refused_in_the_same_folder(student: Path, finished: Path) -> None:
    """Other settings or chains are named; what is there stays."""
    with pytest.raises(ResumeError, match="learning_rate"):
        train(student, CHAINS, finished, replace(SETTINGS, learning_rate=1e-4))
    with pytest.raises(ResumeError, match="examples"):
        train(student, CHAINS[:-1], finished, SETTINGS)
    assert (finished / "report.json").is_file()


def test_adapters_are_kept_apart_and_merged(student: Path, tmp_path: Path) -> None:
    """With LoRA the adapter is saved, the merged model loads, and only the layers named have changed."""
    lora = Lora(r=2, alpha=4, target_modules=("q_proj", "v_proj"))
    report = train(student, CHAINS, tmp_path, replace(SETTINGS, lora=lora))
    assert report.final_loss < report.history[0]["loss"]
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["r"] == 2
    before, after = weights(student), weights(tmp_path / "model")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("q_proj" in name or "v_proj" in name for name in changed)


def test_adapters_alone_are_kept_where_merging_is_not_wanted(student: Path, tmp_path: Path) -> None:
    """merge=False writes an adapter and no model."""
    train(student, CHAINS, tmp_path, replace(SETTINGS, epochs=1, lora=Lora(r=2, merge=False)))
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
    assert not (tmp_path / "model").exists()


def test_a_layer_that_is_not_there_is_named(student: Path, tmp_path: Path) -> None:
    """A wrong target module is an error that says which one, before any step."""
    with pytest.raises(TrainingError, match="no_such_layer"):
        train(student, CHAINS, tmp_path, replace(SETTINGS, lora=Lora(target_modules=("no_such_layer",))))


def test_the_best_epoch_is_kept(student: Path, tmp_path: Path) -> None:
    """Losses on the chains held out are reported; with far too high a rate the first epochs are the best."""
    held_out = replace(SETTINGS, validation=0.25, validation_seed=7)
    settings = replace(held_out, epochs=6, keep_best=True, patience=2, learning_rate=3)
    report = train(student, CHAINS, tmp_path, settings)
    losses = [point["validation_loss"] for point in report.history if "validation_loss" in point]
    assert report.held_out == 3
    assert report.chains == 9
    best = losses.index(min(losses))
    assert len(losses) == min(6, best + 3)
    auto: Any = AutoModelForCausalLM
    kept = auto.from_pretrained(tmp_path / "model", dtype=torch.float32).eval()
    assert math.isfinite(mean_loss(kept))
    assert same(tmp_path / "model", _trained_for(student, tmp_path / "best", settings, epochs=best + 1))


def _trained_for(student: Path, out: Path, settings: TrainSettings, *, epochs: int) -> Path:
    train(student, CHAINS, out, replace(settings, epochs=epochs, keep_best=False, patience=None))
    return out / "model"


def test_a_missing_package_says_what_to_install(student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TRL the error names the extra, before the student is loaded."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "trl" else found(name, *a))
    with pytest.raises(TrainingError, match=r"tokimp\[distill\]"):
        train(student, CHAINS, tmp_path, SETTINGS)


def test_a_missing_student_is_named(tmp_path: Path) -> None:
    """A folder that is not there is said to be missing."""
    with pytest.raises(ScorerError, match="no model folder"):
        train(tmp_path / "nowhere", CHAINS, tmp_path / "out", SETTINGS)


def test_chains_may_be_a_file(student: Path, finished: Path, tmp_path: Path) -> None:
    """A JSONL file of the same chains gives the same student."""
    path = tmp_path / "chains.jsonl"
    records = [{"id": c.id, "question": c.question, "reasoning": c.reasoning, "answer": c.answer} for c in CHAINS]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    train(student, path, tmp_path / "out", SETTINGS)
    assert same(tmp_path / "out" / "model", finished / "model")
