"""Make the notebooks of this folder from the Markdown files beside them, and execute them.

A block of Python becomes a cell of code, and the text between blocks a cell of text. Run it after changing either, or
what the notebooks show: ``python examples/notebooks/make_notebooks.py [NAME...]``. Outputs are kept as they are
displayed, but for bars of progress, so that the notebooks can be read where nothing runs.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat.notebooknode import NotebookNode

HERE = Path(__file__).parent
_BLOCK = re.compile(r"^```python\n(.*?)^```\n?", re.MULTILINE | re.DOTALL)
# What bars of progress leave on standard error; anything else there is a warning, which no example should give.
_BAR = re.compile(r"(?:Loading weights|comparing|analysing \w+): [^\n]*|\s+")


def notebook_of(source: str) -> NotebookNode:
    """Return the notebook of a Markdown text, not executed."""
    cells, end = [], 0
    for block in _BLOCK.finditer(source):
        cells += _text_cells(source[end : block.start()])
        cells.append(nbformat.v4.new_code_cell(block[1].strip("\n")))
        end = block.end()
    cells += _text_cells(source[end:])
    for number, cell in enumerate(cells):
        # Names that do not change from one making to the next.
        cell["id"] = f"cell-{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def execute(notebook: NotebookNode) -> NotebookNode:
    """Return a notebook with its outputs, run in an empty folder; raise if a cell fails, warns or names a folder."""
    settings = {
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        # Bars of progress are text where the package ipywidgets is missing.
        "PYTHONWARNINGS": "ignore:IProgress not found",
    }
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}, record_timing=False)
        client.execute(env={**os.environ, **settings})
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = [output for output in cell.outputs if not _is_bar(output, cell)]
        written = nbformat.writes(notebook)
        for place in (folder, str(HERE.parents[1]), str(Path.home()), sys.prefix):
            if len(place) > 1 and place in written:
                raise ValueError(f"an output names a place on this machine: {place}")
    # The version of the interpreter is the machine's.
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def _text_cells(text: str) -> list[NotebookNode]:
    return [nbformat.v4.new_markdown_cell(text.strip("\n"))] if text.strip() else []


def _is_bar(output: NotebookNode, cell: NotebookNode) -> bool:
    """Whether an output is only a bar of progress; raise if something else stands on standard error."""
    if output.output_type != "stream" or output.name != "stderr":
        return False
    if left := _BAR.sub("", output.text.replace("\r", "\n")):
        raise ValueError(f"a cell wrote to standard error: {left!r}\n{cell.source}")
    return True


if __name__ == "__main__":
    wanted = sys.argv[1:] or sorted(path.stem for path in HERE.glob("*.md"))
    for path in [HERE / f"{name}.md" for name in wanted]:
        nbformat.write(execute(notebook_of(path.read_text(encoding="utf-8"))), path.with_suffix(".ipynb"))
        print(f"made {path.with_suffix('.ipynb').name}")
