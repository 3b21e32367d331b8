"""The notebooks of examples/: made of the Markdown beside them, executed, and fit to be read where nothing runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from examples.notebooks.make_notebooks import execute, notebook_of

FOLDER = Path(__file__).parents[1] / "examples" / "notebooks"
SOURCES = sorted(FOLDER.glob("*.md"))
NAMES = [path.stem for path in SOURCES]


def committed(source: Path) -> Any:
    """Return the notebook that lies beside a Markdown file."""
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def shown_texts(notebook: Any) -> list[list[str]]:
    """Return the plain text of each output of each cell of code; of a picture, that it is one."""
    return [
        [output.get("text") or _shown(output["data"]) for output in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def _shown(data: dict[str, str]) -> str:
    # What stands for a figure where no pictures are shown names its axes, whose lines break where the figure is narrow.
    return "a picture" if "image/png" in data else data["text/plain"]


def test_there_are_notebooks() -> None:
    """Every notebook has a Markdown file, and every Markdown file a notebook."""
    assert NAMES == sorted(path.stem for path in FOLDER.glob("*.ipynb")) != []


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_a_notebook_is_that_of_its_source(source: Path) -> None:
    """Cells are those of the Markdown file: whoever changes one makes the other anew."""
    cells = [(cell.cell_type, cell.source) for cell in committed(source).cells]
    made = notebook_of(source.read_text(encoding="utf-8"))
    assert cells == [(cell.cell_type, cell.source) for cell in made.cells]


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_a_notebook_was_executed_in_order(source: Path) -> None:
    """Cells are numbered from 1, none failed or shows its result twice, and the figures are there as pictures."""
    cells = [cell for cell in committed(source).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert len(cell.outputs) <= 1, cell.source
        assert all(output.output_type in {"stream", "execute_result"} for output in cell.outputs), cell.source
        if "ti.plot." in cell.source:
            assert "image/png" in cell.outputs[0].data
        if cell.source.splitlines()[-1].startswith("ti.show("):
            assert "tokimp-chain" in cell.outputs[0].data["text/html"]


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
def test_a_notebook_runs_and_shows_what_it_showed(source: Path) -> None:
    """Executed anew, every cell writes the same text; `execute` raises if one fails, warns, or names a folder."""
    made = execute(notebook_of(source.read_text(encoding="utf-8")))
    assert shown_texts(made) == shown_texts(committed(source))
