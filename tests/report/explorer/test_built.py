"""The program of the page, and the sources that it is built from."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from tokimp.report.explorer.page import built

SOURCES = Path(__file__).parents[3] / "explorer"
BUILT = Path(__file__).parents[3] / "tokimp" / "report" / "explorer" / "built"


def test_the_program_was_built_from_these_sources() -> None:
    """After a change in explorer/, `npm ci && npm run build` there makes the program again."""
    names = [f"src/{path.name}" for path in sorted((SOURCES / "src").iterdir())]
    digest = hashlib.sha256()
    for name in [*names, "package-lock.json", "tsconfig.json", "vite.config.ts"]:
        digest.update(f"{name}\n".encode() + (SOURCES / name).read_bytes())
    assert built("sources.sha256").strip() == digest.hexdigest()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_building_again_makes_the_same_program(tmp_path: Path) -> None:
    """The built files are what the sources and the locked packages make, byte for byte."""
    copy = tmp_path / "explorer"
    shutil.copytree(SOURCES, copy, ignore=shutil.ignore_patterns("node_modules"))
    for command in (["npm", "ci", "--no-audit", "--no-fund"], ["npm", "run", "build"]):
        subprocess.run(command, cwd=copy, check=True, capture_output=True, timeout=600)
    made = tmp_path / "tokimp" / "report" / "explorer" / "built"
    assert {path.name: path.read_bytes() for path in made.iterdir()} == {
        path.name: path.read_bytes() for path in BUILT.iterdir()
    }
