"""What a command reads is never what it writes: both are compared as files on disk, however their paths are spelt."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

from tokimp.errors import TokimpError

Named = str | os.PathLike[str] | None
"""A path, or a name that may be no path (``demo``, a hub id); ``None`` where nothing was named."""

# The files of a model's folder. Other files may lie beside them, such as what an earlier command wrote there.
_MODEL_FILES = (
    "*config*.json",
    "*.safetensors*",
    "*.bin*",
    "*.gguf",
    "*.model",
    "*.py",
    "*.jinja",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "*_map.json",
    "*_tokens.json",
)


def refuse_overwriting(written: Iterable[Path], read: Mapping[str, Named]) -> None:
    """Raise `TokimpError` if a file or folder that is to be written is one that is read, lies in it, or holds it.

    Files are compared by what they are on disk: a relative path, a symbolic link, a hard link and, on a file system
    that does not tell them apart, another case all mean the same file. A name that is not on disk is nobody's file.

    Parameters
    ----------
    written
        The files that will be made or replaced, and the folders that will be replaced as a whole.
    read
        What is read, by what it is called: ``{"CHAINS": "chains.jsonl", "--model": "tiny"}``. Of a folder, the files
        of a model in it are read.
    """
    targets = [path for path in written if _exists(path)]
    for what, source in read.items():
        for file in _files_of(source):
            for target in targets:
                if any(_same(place, target) for place in (file, *_folders_above(file))):
                    raise TokimpError(
                        f"{target} would be written over, and {what} ({source}) is read from it; choose another place "
                        "to write to (--out)"
                    )


def refuse_foreign(folder: Path, made: Iterable[str], *, manifest: str = "run.json") -> None:
    """Raise `TokimpError` if a folder holds a file or folder that a run would replace, and no record of a run.

    Parameters
    ----------
    folder
        The folder of a run, which may not be there yet.
    made
        The names of what the run makes in it.
    manifest
        The file that tells a run's folder from any other.
    """
    if (folder / manifest).exists():
        return
    for name in made:
        if _exists(folder / name):
            raise TokimpError(
                f"{folder / name} is there already, and {folder} holds no run that made it ({manifest} is missing): "
                "it would be replaced; choose another folder (--out), or move it away"
            )


def _files_of(source: Named) -> Iterator[Path]:
    """Yield what is read from a path: itself and, of a folder, the files of a model in it; nothing of a mere name."""
    if source is None or not _exists(path := Path(source).expanduser()):
        return
    yield path
    if path.is_dir():
        yield from (file for file in path.iterdir() if any(fnmatch(file.name, pattern) for pattern in _MODEL_FILES))


def _folders_above(file: Path) -> list[Path]:
    """Return every folder that holds a file, both as its path is spelt and where a symbolic link leads."""
    return [*file.absolute().parents, *file.resolve().parents]


def _exists(path: Path) -> bool:
    """Whether a path is there; one that the system cannot hold (too long, say) is not."""
    try:
        return path.exists() or path.is_symlink()
    except (OSError, ValueError):
        return False


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        # A link that leads nowhere.
        return one.absolute() == other.absolute()
