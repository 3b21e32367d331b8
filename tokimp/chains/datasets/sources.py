"""The sources of records: a file, a data set on the hub, or a data set known by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path

from tokimp.chains.datasets.hub import hub_records, is_hub_id
from tokimp.chains.datasets.record_files import empty_file, has_file_ending, read_records
from tokimp.chains.datasets.records import Record, Skips
from tokimp.errors import ChainError, closest

_MATH_SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)
NAMED: dict[str, tuple[str, ...]] = {
    "gsm8k": ("openai/gsm8k:main",),
    "mmlu_pro": ("TIGER-Lab/MMLU-Pro",),
    "math": tuple(f"EleutherAI/hendrycks_math:{subject}" for subject in _MATH_SUBJECTS),
}


def source_records(
    source: str | PathLike[str], split: str, skips: Skips, also: tuple[str, ...] = ()
) -> Iterator[Record]:
    """Return the records of a source, read as they are asked for.

    Parameters
    ----------
    source
        One of `NAMED`, the path of a file, or a hub id, ``owner/name`` or ``owner/name:configuration``. These names
        come before files of the same name; an existing file comes before a hub id.
    split
        The split of a data set on the hub.
    skips
        Takes the records that cannot be read.
    also
        Further names that the caller knows, for the message.

    Raises
    ------
    ChainError
        If there is no such source, or it cannot be read.
    """
    name = source if isinstance(source, str) else None
    if name in NAMED:
        return _named_records(NAMED[name], split)
    path = Path(source)
    if name is not None and _is_on_the_hub(name):
        return hub_records(name, split)
    if name is not None:
        check_source(name, also)
    return read_records(path, skips)


def check_source(source: str, also: tuple[str, ...] = ()) -> None:
    """Raise `ChainError` if a source is no known name, has no form of a hub id, and no file that holds anything.

    Parameters
    ----------
    source, also
        As of `source_records`.
    """
    path, known = Path(source), (*also, *NAMED)
    if source in known or _is_on_the_hub(source):
        return
    if path.is_file() and not path.stat().st_size:
        raise ChainError(empty_file(path))
    if path.exists():
        return
    raise ChainError(
        f"{source}: there is no such file{_meant(path, known)}; give the path of a file of chains, a hub id "
        f"(owner/name), or one of {', '.join(known)}"
    )


def _is_on_the_hub(source: str) -> bool:
    path = Path(source)
    return is_hub_id(source) and not path.exists() and not has_file_ending(path)


def _meant(path: Path, names: Iterable[str]) -> str:
    """Return the guess at what a misspelt name means: a file beside it, with or without its ending, or a known name.

    Of a link that leads nowhere, it says so instead.
    """
    if path.is_symlink():
        return ", since the link leads nowhere"
    try:
        beside = [file.name for file in path.parent.iterdir() if has_file_ending(file) and file.is_file()]
    except OSError:
        beside = []
    places = {name: str(path.parent / name) for name in beside}
    # A file may be meant though its ending was left out.
    written = {Path(name).stem: place for name, place in reversed(places.items())} | places
    if path.name == str(path):
        written |= {name: name for name in names}
    if (close := closest(path.name, written)) is None:
        return ""
    return f" (did you mean {written[close]!r}?)"


def _named_records(parts: tuple[str, ...], split: str) -> Iterator[Record]:
    for part in parts:
        yield from hub_records(part, split)
