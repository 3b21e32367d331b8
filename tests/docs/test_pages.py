"""The code in the pages of ``docs/``, run as a reader would run it: top to bottom, in a folder of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
MARK = "----- the next block -----"
ELSEWHERE = {
    "importing.md": "tests/cli/test_importing_page.py",
    "write-a-plugin.md": "tests/contracts/test_external_plugin.py",
}
"""Pages whose code another test runs, and that test."""
RUN = """
made = ti.compare(ti.demo_chains(limit=2), ti.load_scorer("tiny"), {1!r}, out={0!r})
ti.save(made, "{0}/results.nc")
"""
BEFORE = {
    "analyses.md": RUN.format("runs/mine", ["uniform", "position"]),
    "explorer.md": RUN.format("runs/demo", ["greedy", "attention"]),
    "scale.md": "chains, scorer = ti.demo_chains(limit=2), ti.load_scorer('tiny')",
}
"""What the text before a page's first block has made: a run on disk, as `tokimp compare` leaves it, or objects."""
QUICK = {"start.md"}
"""Pages whose code takes seconds; that of the others runs with the slow tests."""
NOT_RUN = {"large-models.md": "it spreads a model over a GPU and the main memory"}


def pages() -> list[str]:
    """Return the names of the pages that have Python to run."""
    return [
        path.name
        for path in sorted(DOCS.glob("*.md"))
        if path.name not in ELSEWHERE and path.name not in NOT_RUN and "\n```python\n" in path.read_text("utf-8")
    ]


def code_and_output(page: str) -> list[tuple[str, str | None]]:
    """Return the Python blocks of a page, each with the text block right behind it, which is what it prints."""
    text = (DOCS / page).read_text(encoding="utf-8")
    pattern = r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?"
    return [(match[1], match[2]) for match in re.finditer(pattern, text, re.DOTALL | re.MULTILINE)]


@pytest.mark.parametrize(
    "page", [page if page in QUICK else pytest.param(page, marks=pytest.mark.slow) for page in pages()]
)
def test_the_code_of_a_page_runs_and_prints_what_the_page_says(page: str, tmp_path: Path) -> None:
    """All Python of a page runs as one script, and each text block behind a Python block is what that block prints."""
    blocks = code_and_output(page)
    script = tmp_path / "page.py"
    parts = [f"{code}\nprint({MARK!r})\n" for code, _ in blocks]
    script.write_text(
        f"import tokimp as ti\n{BEFORE.get(page, '')}\nprint({MARK!r})\n{''.join(parts)}", encoding="utf-8"
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split(f"{MARK}\n")[1:-1]
    expected = [stated for _, stated in blocks]
    assert [told if stated is not None else None for told, stated in zip(printed, expected, strict=True)] == expected


def test_exceptions_are_exceptions() -> None:
    """A page that is not run here has code, and the test that runs it instead is there and names it."""
    for page in NOT_RUN:
        assert code_and_output(page), page
    for page, test in ELSEWHERE.items():
        assert page in (DOCS.parent / test).read_text(encoding="utf-8"), test
