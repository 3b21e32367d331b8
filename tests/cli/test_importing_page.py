"""The recipes of docs/importing.md, run as they stand on the records that they show."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tokimp.chains.datasets import load_chains

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
PAGE = (Path(__file__).parents[2] / "docs" / "importing.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^### ([^\n]+)\n(.*?)(?=^### |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))


def command_of(recipe: str) -> tuple[list[str], list[str]]:
    """Return the arguments of a recipe's command, and the lines that the page shows below it."""
    block = re.search(r"^```console\n\$ tokimp (.*?)\n(.*?)^```", recipe, flags=re.MULTILINE | re.DOTALL)
    assert block is not None
    return shlex.split(block[1]), block[2].splitlines()


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_prints_what_the_page_says(tokimp: Run, tmp_path: Path, name: str) -> None:
    """On the records above it, the command prints the lines below it, and writes chains that are read."""
    recipe = RECIPES[name]
    file, records = (
        re.search(r"^`([^`]+)`", recipe, flags=re.MULTILINE),
        re.search(r"^```(?:json|text)\n(.*?)^```", recipe, flags=re.MULTILINE | re.DOTALL),
    )
    assert file is not None
    assert records is not None
    (tmp_path / file[1]).write_text(records[1], encoding="utf-8")
    arguments, shown = command_of(recipe)
    done = tokimp(*arguments)
    assert done.status == 0, done.err
    printed = [line.rstrip() for line in (done.out + done.err).splitlines()]
    assert sorted(printed) == sorted(shown)
    assert load_chains("chains.jsonl", format="jsonl")


@pytest.mark.parametrize(
    ("name", "real", "numbers"),
    [
        ("GSM8K", "gsm8k/test.jsonl", (1319, 0)),
        ("Model solutions of GSM8K", "gsm8k/model_solutions.jsonl", (5265, 11)),
        ("Outputs of MMLU-Pro", "mmlu_pro/llama-3.1-8b-instruct.math.jsonl", (1076, 275)),
    ],
)
def test_a_recipe_does_on_real_records_what_the_page_says(
    tokimp: Run, name: str, real: str, numbers: tuple[int, int]
) -> None:
    """The numbers of real chains, and of records left out, are those of the page."""
    if not (DATA / real).is_file():
        pytest.skip(f"the real records are not at {DATA / real}")
    arguments, _ = command_of(RECIPES[name])
    done = tokimp("import", (DATA / real).resolve(), *arguments[2:])
    chains, left_out = numbers
    assert f"{chains} chains written" in done.out
    assert (f"{left_out} of {chains + left_out} left out" in done.err) == (left_out > 0)
    assert f"{chains:,}" in RECIPES[name]


def test_the_python_on_the_page_does_the_same(tokimp: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block of Python and the first command write the same file."""
    record = '{"problem": "3 + 4?", "generation": "<think>3 + 4 = 7</think>It is 7.", "answer": 7}\n'
    (tmp_path / "traces.jsonl").write_text(record, encoding="utf-8")
    first = re.search(r"^\$ tokimp (import .*)$", PAGE, flags=re.MULTILINE)
    block = re.search(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert first is not None
    assert block is not None
    assert tokimp(*shlex.split(first[1])).status == 0
    by_command = (tmp_path / "chains.jsonl").read_bytes()
    (tmp_path / "chains.jsonl").unlink()
    monkeypatch.chdir(tmp_path)
    exec(block[1], {})  # noqa: S102 - the page's own code
    assert (tmp_path / "chains.jsonl").read_bytes() == by_command
