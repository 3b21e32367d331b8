"""What a plan takes, before anything runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tokimp as ti
from tokimp.distillation.plan.plan import Plan
from tokimp.distillation.steps.forecast import Amount, forecast
from tokimp.errors import PlanError

EXAMPLES = Path(__file__).parents[3] / "examples"


def plan_of(**changes: Any) -> Plan:
    """Return a plan that nothing of is run."""
    values: dict[str, Any] = {
        "task": "word_problems",
        "questions": {"limit": 100},
        "test": {"limit": 20},
        "teachers": ["tiny"],
        "students": ["owner/student"],
        "methods": {"uniform": "uniform", "loo": "leave_one_out", "greedy": "greedy", "cut": "attention_knockout"},
        "keep_ratios": [0.8, 0.5],
        "seeds": [0, 1, 2],
        "sample": {"n": 4, "max_new_tokens": 200},
        "train": {"epochs": 2},
        "evaluate": {"max_new_tokens": 50},
    }
    return Plan.of({**values, **changes})


def by_name(amounts: list[Amount]) -> dict[str, Amount]:
    """Return amounts by what and whose."""
    return {f"{each.what}: {each.whose}": each for each in amounts}


def test_cells_and_tokens_are_counted() -> None:
    """Cells are the grid's; responses are questions times n, and what they are at most is said."""
    found = by_name(forecast(plan_of(), reasoning_tokens=40))
    assert found["cells: untrained"].number == 1
    assert found["cells: unpruned"].number == 3
    assert found["cells: pruned"].number == 4 * 2 * 3
    sampled = found["tokens to sample: tiny"]
    assert sampled.number == 100 * 4 * (40 + 12)
    assert "80,000 at most" in sampled.how
    assert "28,000 at most" in found["tokens to test: 20 questions"].how


def test_positions_to_train_follow_the_keep_ratio() -> None:
    """Shorter chains are fewer positions: whole ones, 0.8 and 0.5 of the reasoning, three seeds, two epochs."""
    amounts = by_name(forecast(plan_of(), reasoning_tokens=40))
    other = by_name(forecast(plan_of(train={"epochs": 4}), reasoning_tokens=40))
    name = "positions to train: 27 trainings"
    assert other[name].number == pytest.approx(2 * amounts[name].number)
    longer = by_name(forecast(plan_of(), reasoning_tokens=140))
    reasoning = 2 * 100 * 100 * 3 * (1 + 4 * (0.8 + 0.5))
    assert longer[name].number - amounts[name].number == pytest.approx(reasoning)


@pytest.mark.slow
def test_the_forecast_of_pruning_is_near_what_pruning_reads() -> None:
    """For chains of a known length, greedy pruning and leave-one-out read about as many positions as was said."""
    chains = ti.demo_chains()[3:5]
    scorer = ti.load_scorer("tiny")
    tokens = [ti.tokenize_chain(chain, scorer.tokenizer) for chain in chains]
    reasoning = sum(len(each.reasoning_ids) for each in tokens) / len(tokens)
    prompt = sum(len(each.prompt_ids) for each in tokens) / len(tokens)
    plan = plan_of(questions={"limit": len(chains)})
    expected = by_name(forecast(plan, reasoning_tokens=reasoning, question_tokens=prompt))
    for name, estimator in (
        ("greedy", "greedy:keep_ratio=0.5"),
        ("loo", "leave_one_out"),
        ("cut", "attention_knockout"),
    ):
        result = ti.compare(chains, scorer, [estimator]).to_dataset()
        read = float(result["tokens_forwarded"].sum() + result["full_tokens_forwarded"].sum())
        assert expected[f"positions to prune: tiny's by tiny: {name}"].number == pytest.approx(read, rel=0.35)


def test_chains_that_are_sampled_are_counted(tmp_path: Path) -> None:
    """Where the folder has chains already, their number and length stand in the place of the guess."""
    folder = tmp_path / "sample" / "tiny"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text("{}", encoding="utf-8")
    lines = [json.dumps({"id": str(n), "reasoning_tokens": 30}) + "\n" for n in range(7)]
    (folder / "chains.jsonl").write_text("".join(lines), encoding="utf-8")
    found = by_name(forecast(plan_of(), tmp_path))
    assert "7 chains of 30 reasoning tokens" in found["positions to prune: tiny's by tiny: greedy"].how


def test_what_is_measured_and_what_is_set_is_counted(tmp_path: Path) -> None:
    """Tests follow chains that are sampled, steps take the place of epochs, and words are fewer units than tokens."""
    folder = tmp_path / "sample" / "tiny"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text("{}", encoding="utf-8")
    (folder / "chains.jsonl").write_text(json.dumps({"reasoning_tokens": 30, "t": "\u2028"}, ensure_ascii=False) + "\n")
    found = by_name(forecast(plan_of(untrained=False, methods={"uniform": "uniform"}), tmp_path))
    assert found["tokens to test: 20 questions"].number == pytest.approx(9 * 20 * (30 * (1 + 0.8 + 0.5) / 3 + 12))
    name = "positions to train: 27 trainings"
    steps = {
        size: by_name(forecast(plan_of(train={"max_steps": 5, "batch_size": size})))[name].number for size in (2, 4)
    }
    assert steps[4] == 2 * steps[2]
    assert by_name(forecast(plan_of(train={"max_steps": 5, "batch_size": 2, "epochs": 9})))[name].number == steps[2]
    for method in ("greedy", "loo"):
        prune = f"positions to prune: tiny's by tiny: {method}"
        numbers = [by_name(forecast(plan_of(unit=unit)))[prune].number for unit in ("token", "word", "sentence")]
        assert numbers == sorted(numbers, reverse=True)
        assert len(set(numbers)) == 3


@settings(max_examples=25)
@given(sampled=st.integers(1, 400), tested=st.integers(1, 400), reasoning=st.floats(1, 2000), n=st.integers(1, 12))
def test_no_estimate_is_above_its_own_maximum(sampled: int, tested: int, reasoning: float, n: int) -> None:
    """Responses are taken to be no longer than they may be, and chains no longer than responses."""
    arguments = {"sample": {"n": n, "max_new_tokens": sampled}, "evaluate": {"max_new_tokens": tested}}
    plan = plan_of(methods={"uniform": "uniform"}, **arguments)
    found = by_name(forecast(plan, reasoning_tokens=reasoning))
    for name in ("tokens to sample: tiny", "tokens to test: 20 questions"):
        most = re.search(r"; ([\d,]+) at most", found[name].how)
        assert most is not None
        assert 0 < found[name].number <= int(most[1].replace(",", ""))
    pruned = re.search(r"chains of (\d+) reasoning", found["positions to prune: tiny's by tiny: uniform"].how)
    assert pruned is not None
    assert int(pruned[1]) <= max(1, sampled)


def test_a_plan_without_a_limit_needs_questions_that_can_be_read() -> None:
    """Word problems have no end: the message says which key to give."""
    with pytest.raises(PlanError, match=r"questions\.limit"):
        forecast(plan_of(questions={}))


def test_the_papers_plan_can_be_read_and_forecast_without_a_network() -> None:
    """The plan for the published setting is a plan, and says what it takes before anything is fetched."""
    for path in sorted(EXAMPLES.glob("paper_plan*.yaml")):
        amounts = forecast(Plan.load(path))
        cells = sum(each.number for each in amounts if each.what == "cells")
        assert cells > 0
