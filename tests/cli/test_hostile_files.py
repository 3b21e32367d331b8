"""Files made to do harm: each gets one short line, in little time, and nothing of it runs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

import tokimp as ti
from tests.cli.conftest import Run
from tokimp.testing.toy_result import toy_result

LONG = "x" * 100_000
DEEP = "[" * 100_000
ALIASES = "a0: &a0 [x, x]\n" + "".join(f"a{i + 1}: &a{i + 1} [*a{i}, *a{i}]\n" for i in range(28))


def chains(**changed: object) -> str:
    """Return a JSONL file of one chain, some fields of which are changed."""
    chain = {"id": "a", "question": "?", "reasoning": "one two", "answer": "3", **changed}
    return json.dumps(chain) + "\n"


TEXTS = {
    "an id of 100,000 characters, twice": ("chains.jsonl", 2 * chains(id=LONG)),
    "a key of 100,000 characters": ("chains.jsonl", chains(**{LONG: 1, "reasoning": 3})),
    "a reasoning that is a number of 4,000 digits": ("chains.jsonl", '{"id": "a", "reasoning": ' + "9" * 4000 + "}\n"),
    "lists in each other": ("chains.jsonl", DEEP + "\n"),
    "a line of 100,000 characters": ("chains.jsonl", LONG + "\n"),
    "no text": ("chains.jsonl", "\0\x01\x02\n"),
    "aliases of aliases": ("plan.yaml", ALIASES),
    "flow mappings in each other": ("plan.yaml", "{a: " * 3000),
    "block mappings in each other": ("plan.yaml", "\n".join(" " * depth + "a:" for depth in range(500))),
    "a date that is none": ("plan.yaml", "task: !!timestamp x\n"),
    "code": ("plan.yaml", "task: !!python/object/apply:os.system [touch ran]\n"),
    "a name of 100,000 characters": ("plan.yaml", f"task: {LONG}\n"),
    "an unknown key of 100,000 characters": ("plan.yaml", f"? {LONG}\n: 1\n"),
    "a merge of itself": ("plan.yaml", "task: &a {<<: *a}\n"),
}


@pytest.mark.parametrize("what", TEXTS)
def test_a_hostile_text_gets_one_short_line(tokimp: Run, what: str) -> None:
    """The file is refused with a line that a terminal can show, within seconds, and without running anything."""
    name, text = TEXTS[what]
    Path(name).write_text(text, encoding="utf-8")
    command = ["distill", name, "--out", "out"] if name == "plan.yaml" else ["compare", name, "--out", "out"]
    start = time.perf_counter()
    done = tokimp(*command)
    assert time.perf_counter() - start < 60
    assert done.status in {1, 2}
    assert done.err.count("\n") == 1
    assert len(done.err) < 5000
    assert "unexpected" not in done.err
    assert name in done.err
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("backend", "hostile:X"),
        ("backend", "hostile.py:X"),
        ("objective", "hostile:X"),
        ("unit", "hostile:X"),
        ("model_id", "stranger/model"),
        ("model_id", "."),
        ("model_id", "x" * 100_000),
        ("backend", "x" * 100_000),
    ],
)
def test_nothing_that_a_result_names_is_loaded(
    tokimp: Run, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's result that names code or a model is refused before anything of it is imported or fetched."""
    Path("hostile.py").write_text("import pathlib\npathlib.Path('ran').touch()\nclass X: pass\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    result = toy_result({"a": [[1.0, 2.0]]})
    result.attrs.update({"model_id": "tiny", "backend": "transformer_lens", "objective": "joint", name: value})
    ti.save(result, "results.nc")
    done = tokimp("analyze", "results.nc", "faithfulness")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert len(done.err) < 5000
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "content", [DEEP, "{}", "[]", "null", '{"format": 2}', "\0", '{"format": 2, "created": 1, "run": 3}']
)
def test_a_hostile_record_of_a_run_is_refused(tokimp: Run, chains_file: Path, content: str) -> None:
    """A run.json that is no record of a run is said to be damaged, with what to do."""
    Path("out").mkdir()
    Path("out/run.json").write_text(content, encoding="utf-8")
    done = tokimp("compare", chains_file, "--estimator", "position", "--out", "out")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "run.json" in done.err
    assert "unexpected" not in done.err
