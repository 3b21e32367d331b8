"""What asking will cost at most, from short trials."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.distillation.scripted import ScriptedEngine, Sums
from tokimp.bench.work_forecast import WorkForecast
from tokimp.distillation.ask.cost import PendingBatches, forecast_batches
from tokimp.distillation.ask.evaluate import evaluate
from tokimp.distillation.ask.sample import sample


class StoppedError(Exception):
    """Ends a run before it starts."""


class ToTheEnd(ScriptedEngine):
    """Writes responses that are as long as they may be, of one character a token."""

    def generate(self, prompts: Sequence[Sequence[int]], **options: Any) -> list[list[str]]:
        """Return the letter ``w`` again and again, and at the very end the answer to no question."""
        tokens, n = options["max_new_tokens"], options.get("n", 1)
        self.tokens_forwarded += sum(len(prompt) + n * tokens for prompt in prompts)
        return [["w" * (tokens - 4) + "->99"] * n for _ in prompts]


def forecast(work: Any, *arguments: Any, **options: Any) -> WorkForecast | None:
    """Return the forecast of a sampling or an evaluation that is then stopped."""
    seen = list[WorkForecast | None]()

    def look(pending: PendingBatches) -> None:
        seen.append(forecast_batches(pending, budget=0.0))
        raise StoppedError

    with pytest.raises(StoppedError):
        work(*arguments, **options, before_work=look)
    return seen[0]


def size_of(folder: Path) -> int:
    """Return the bytes of what a run keeps of its responses."""
    return sum(path.stat().st_size for path in folder.glob("*.jsonl"))


def test_positions_and_disk_of_a_sampling_are_near_those_it_takes(tmp_path: Path) -> None:
    """If all responses are as long as they may be, what was said to be the most is what it takes."""
    engine, questions = ToTheEnd(), Sums().questions(limit=12)
    options: dict[str, Any] = {"n": 3, "max_new_tokens": 300, "batch_questions": 4}
    found = forecast(sample, Sums(), questions, engine, tmp_path / "run", **options)
    assert found is not None
    assert not (tmp_path / "run").exists()
    (part,) = found.parts
    assert (part.what, part.pieces) == ("at most 3 responses of 300 tokens to a question", 12)
    before = engine.tokens_forwarded
    with pytest.raises(Exception, match="none of 36 responses"):
        sample(Sums(), questions, engine, tmp_path / "run", **options)
    assert part.positions == pytest.approx(engine.tokens_forwarded - before)
    assert part.bytes_on_disk == pytest.approx(size_of(tmp_path / "run"), rel=0.15)
    assert found.memory is not None
    assert found.memory > 1e7


def test_disk_of_an_evaluation_is_near_what_is_written(tmp_path: Path) -> None:
    """An answer is kept as it was written, as a whole, and in parts."""
    engine, questions = ToTheEnd(), Sums().questions(limit=12)
    found = forecast(evaluate, engine, Sums(), questions, tmp_path / "run", max_new_tokens=300)
    assert found is not None
    evaluate(engine, Sums(), questions, tmp_path / "run", max_new_tokens=300)
    assert found.bytes_on_disk == pytest.approx(size_of(tmp_path / "run"), rel=0.15)
    assert forecast(evaluate, engine, Sums(), questions, tmp_path / "run", max_new_tokens=300) is None


def test_the_memory_of_an_engine_with_a_device_of_its_own_is_not_known(tmp_path: Path) -> None:
    """The processes of vLLM hold the weights: nothing is said of the memory."""
    engine = ToTheEnd()
    engine.device = "vllm"
    found = forecast(evaluate, engine, Sums(), Sums().questions(limit=2), tmp_path / "run")
    assert found is not None
    assert found.memory is None
