"""The README's Python, run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=[f"block{number}" for number in range(len(BLOCKS))])
def test_every_python_block_runs(block: str, tmp_path: Path) -> None:
    """A reader who pastes a block into an empty folder's interpreter gets no error."""
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_link_to_a_file_leads_somewhere() -> None:
    """Relative links of the README and the picture name files that are there."""
    for target in re.findall(r"\]\(((?!https?:)[^)#]+)", README):
        assert (Path(__file__).parents[1] / target).exists(), target
