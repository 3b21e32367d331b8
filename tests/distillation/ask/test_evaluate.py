"""Evaluating: numbers that can be read back, resumed and compared question by question."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.distillation.scripted import ScriptedEngine, Sums, responses_to_sum
from tokimp.distillation.ask.evaluate import Evaluation, evaluate
from tokimp.distillation.ask.paired import paired_test
from tokimp.distillation.tasks.word_problems import WordProblems
from tokimp.errors import DistillationError, ResumeError
from tokimp.models.writing.transformers_engine import TransformersEngine
from tokimp.testing.random_models import byte_tokenizer, random_model

QUESTIONS = Sums().questions(limit=40)


def weaker(question: str) -> list[str]:
    """Return a right response to every second sum, a wrong one or none to the others."""
    return [responses_to_sum(question)[[0, 1, 0, 2][int(question[0]) % 4]]]


def test_the_numbers_are_those_of_the_answers(tmp_path: Path) -> None:
    """Accuracy, share without an answer and mean length follow from the records, one a question in their order."""
    found = evaluate(ScriptedEngine(weaker), Sums(), QUESTIONS, tmp_path, batch_questions=7)
    records = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["id"] for record in records] == [question.id for question in QUESTIONS]
    assert found.right == {record["id"]: record["right"] for record in records}
    assert found.accuracy == pytest.approx(np.mean([record["right"] for record in records]))
    assert 0.3 < found.accuracy < 0.7
    assert found.unparsed == pytest.approx(np.mean([not record["parsed"] for record in records]))
    assert found.unparsed > 0
    lengths = [len(record["reasoning"]) for record in records if record["parsed"]]  # a token a byte
    assert found.reasoning_tokens == pytest.approx(np.mean(lengths))
    assert all(record["reasoning_tokens"] is None for record in records if not record["parsed"])
    assert found.low < found.accuracy < found.high
    assert Evaluation.load(tmp_path) == found


class Careful(Sums):
    """Knows nothing of an answer of two digits."""

    def is_right(self, answer: str, gold: str) -> bool | None:
        """Compare numbers below ten alone."""
        return None if len(answer.removeprefix("->").strip()) > 1 else super().is_right(answer, gold)


def test_what_is_not_known_is_counted_apart(tmp_path: Path) -> None:
    """An answer that the task cannot judge is null in its record, counts as not right, and has a share of its own."""
    found = evaluate(ScriptedEngine(weaker), Careful(), QUESTIONS, tmp_path)
    records = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    unknown = [record for record in records if record["right"] is None]
    assert found.not_known == len(unknown) / 40 > 0
    assert all(record["parsed"] and record["answer"][-2:].isdigit() for record in unknown)
    assert found.accuracy == sum(record["right"] is True for record in records) / 40
    assert found.right == {record["id"]: record["right"] is True for record in records}
    assert Evaluation.load(tmp_path) == found
    content = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    del content["not_known"], content["digest"]  # as tokimp 0.1.0 wrote it
    (tmp_path / "evaluation.json").write_text(json.dumps(content), encoding="utf-8")
    assert Evaluation.load(tmp_path).not_known == 0


def test_the_embedded_model_solves_its_problems(tmp_path: Path) -> None:
    """A real model answers nearly all test problems right, with as much reasoning as it was trained on."""
    task = WordProblems()
    found = evaluate(TransformersEngine("tiny"), task, task.questions(limit=30, seed=1), tmp_path)
    assert found.accuracy >= 0.9
    assert found.unparsed == 0
    assert found.reasoning_tokens is not None
    assert 50 < found.reasoning_tokens < 75


def test_a_model_that_knows_nothing_has_no_answers(tmp_path: Path) -> None:
    """Of noise nothing can be parsed: all counts as wrong, the mean length is not known, the interval begins at 0."""
    noise = TransformersEngine(random_model("llama"), tokenizer=byte_tokenizer())
    found = evaluate(noise, Sums(), QUESTIONS[:5], tmp_path, max_new_tokens=8)
    assert (found.accuracy, found.unparsed, found.reasoning_tokens, found.low) == (0, 1, None, 0)
    assert Evaluation.load(tmp_path) == found


def test_ids_with_any_line_separator_are_read_back(tmp_path: Path) -> None:
    """U+2028, U+0085 and the like end no line of JSONL: an evaluation of such ids and texts loads as it was."""
    asked = [dataclasses.replace(each, id=f"{each.id}\u2028\x85\x0b") for each in QUESTIONS[:5]]
    found = evaluate(ScriptedEngine(), Sums(), asked, tmp_path)
    assert Evaluation.load(tmp_path) == found


def test_an_interrupted_evaluation_goes_on(tmp_path: Path) -> None:
    """What was answered before is not asked again, and the files are those of an unbroken run."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    evaluate(ScriptedEngine(), Sums(), QUESTIONS, whole, batch_questions=10)

    class Stopped(Exception):  # noqa: N818 - no error but an end
        pass

    def stop(progress: object) -> None:
        raise Stopped

    first = ScriptedEngine()
    with pytest.raises(Stopped):
        evaluate(first, Sums(), QUESTIONS, broken, batch_questions=10, progress=stop)
    second = ScriptedEngine()
    evaluate(second, Sums(), QUESTIONS, broken, batch_questions=10)
    assert [question for question, _, _ in first.asked + second.asked] == [question.text for question in QUESTIONS]
    for name in ("answers.jsonl", "evaluation.json", "batches.jsonl"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes()


def test_a_folder_holds_one_evaluation(tmp_path: Path) -> None:
    """Another model or other questions in the same folder are refused."""
    evaluate(ScriptedEngine(), Sums(), QUESTIONS, tmp_path)
    with pytest.raises(ResumeError, match=r"model\.model_id"):
        evaluate(ScriptedEngine(name="other"), Sums(), QUESTIONS, tmp_path)
    with pytest.raises(ResumeError, match="number of questions"):
        evaluate(ScriptedEngine(), Sums(), QUESTIONS[:5], tmp_path)


def test_it_is_compared_with_the_student_before(tmp_path: Path) -> None:
    """The paired test against another folder is stored beside the numbers, and says what paired_test says."""
    before = evaluate(ScriptedEngine(weaker, name="before"), Sums(), QUESTIONS, tmp_path / "before")
    after = evaluate(ScriptedEngine(), Sums(), QUESTIONS, tmp_path / "after", before=tmp_path / "before")
    stored = json.loads((tmp_path / "after" / "evaluation.json").read_text(encoding="utf-8"))["before"]
    test = paired_test(after.right, before.right)
    assert after.against(before) == test
    assert stored["model_id"] == "before"
    assert (stored["difference"], stored["p_value"], stored["n"]) == (test.difference, test.p_value, 40)
    assert test.difference > 0.3


def test_what_cannot_be_compared_is_refused_before_any_work(tmp_path: Path) -> None:
    """A folder without an evaluation, and one on other questions, are errors before the model is asked."""
    evaluate(ScriptedEngine(), Sums(), QUESTIONS[:9], tmp_path / "fewer")
    engine = ScriptedEngine()
    with pytest.raises(DistillationError, match="holds no finished evaluation"):
        evaluate(engine, Sums(), QUESTIONS, tmp_path / "after", before=tmp_path)
    with pytest.raises(DistillationError, match=r"is on other questions \(31 are on one side only\)"):
        evaluate(engine, Sums(), QUESTIONS, tmp_path / "after", before=tmp_path / "fewer")
    assert engine.asked == []


def test_an_evaluation_records_with_how_many_threads_it_was_computed(tmp_path: Path) -> None:
    """The number stands in run.json, from the batch that was asked for first."""
    evaluate(ScriptedEngine(), Sums(), QUESTIONS, tmp_path)
    assert json.loads((tmp_path / "run.json").read_text("utf-8"))["threads"] == [torch.get_num_threads()]


@pytest.mark.parametrize("damage", ["", "{", '{"n": 3}'])
def test_a_damaged_evaluation_is_not_read(tmp_path: Path, damage: str) -> None:
    """A file that is cut short or lacks a field, and answers that are not all there, are errors."""
    evaluate(ScriptedEngine(), Sums(), QUESTIONS, tmp_path)
    whole = (tmp_path / "evaluation.json").read_text(encoding="utf-8")
    (tmp_path / "evaluation.json").write_text(damage, encoding="utf-8")
    with pytest.raises(DistillationError, match="holds no finished evaluation"):
        Evaluation.load(tmp_path)
    (tmp_path / "evaluation.json").write_text(whole, encoding="utf-8")
    lines = (tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    (tmp_path / "answers.jsonl").write_text("\n".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(DistillationError, match=r"answers\.jsonl has 39 questions and evaluation\.json 40"):
        Evaluation.load(tmp_path)


def test_settings_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    """A confidence out of range is refused by name."""
    with pytest.raises(DistillationError, match=r"confidence=95 is not allowed"):
        evaluate(ScriptedEngine(), Sums(), QUESTIONS, tmp_path, confidence=95)
