"""The layout that makes the code quick to find one's way in."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST = 400  # lines
REASON = "# Long because "
HOT_PATH = [
    ROOT / "tokimp/contracts/scorer.py",
    ROOT / "tokimp/models/decoder.py",
    *(path for path in sorted((ROOT / "tokimp/models/deletion").glob("*.py")) if path.name != "__init__.py"),
    ROOT / "tokimp/results/provenance.py",
    ROOT / "tokimp/distillation/plan/reader.py",
]


def in_repository(path: Path) -> str:
    """Return a path as it reads from the root of the repository, for names of tests and messages."""
    return path.relative_to(ROOT).as_posix()


def test_the_package_has_few_entries_at_its_root() -> None:
    """At most 17 files and folders lie in ``tokimp/``: a new file goes into a room."""
    entries = sorted(path.name for path in (ROOT / "tokimp").iterdir() if path.name != "__pycache__")
    assert len(entries) <= 17, entries


def test_a_long_file_says_why() -> None:
    """A Python file of more than 400 lines has a comment that begins with ``# Long because``."""
    files = [
        path for folder in ("tokimp", "plugins", "tests", "examples") for path in sorted((ROOT / folder).rglob("*.py"))
    ]
    assert files
    texts = {in_repository(path): path.read_text(encoding="utf-8").splitlines() for path in files}
    unexplained = [
        f"{name} ({len(lines)} lines)"
        for name, lines in texts.items()
        if len(lines) > LONGEST and not any(line.startswith(REASON) for line in lines)
    ]
    assert not unexplained, f"divide these files, or say why they are long in a line '{REASON}...': {unexplained}"


@pytest.mark.parametrize("module", HOT_PATH, ids=in_repository)
def test_every_module_of_the_hot_path_has_a_test_file_of_its_name(module: Path) -> None:
    """A failure in what scores deletions, or in what tells runs apart, points at the module it is in."""
    room = module.parent.relative_to(ROOT / "tokimp")
    assert (ROOT / "tests" / room / f"test_{module.name}").is_file()
