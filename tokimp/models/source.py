"""Find where a model's name points (the package, a folder, a GGUF file or the hub), and say so if nothing is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from fnmatch import fnmatch
from importlib.resources import files
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, is_offline_mode, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from tokimp.errors import ScorerError
from tokimp.storage.hub_reach import hub_is_out_of_reach

TINY = "tiny"
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_OFFLINE = "the hub is not asked (HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set)"


def locate(name: str) -> tuple[str, dict[str, Any]]:
    """Return what transformers has to load for a model's name.

    Parameters
    ----------
    name
        A hub id, a folder, a GGUF file, or ``"tiny"``.

    Returns
    -------
    source
        A folder or a hub id.
    arguments
        Further arguments of transformers' ``from_pretrained``: ``gguf_file`` for a GGUF file, ``local_files_only`` for
        any other folder, none for a hub id.

    Raises
    ------
    ScorerError
        If the name can only be a path and nothing is there, a file is not GGUF, a folder holds several GGUF files, or
        the model ``"tiny"`` is missing from the installation.
    """
    if name == TINY:
        folder = Path(str(files("tokimp").joinpath("chains", "datasets", TINY)))
        if not (folder / "config.json").is_file():
            raise ScorerError(
                f"the embedded model {TINY!r} is missing from this installation of tokimp; reinstall it, or make the "
                "model with examples/train_tiny.py"
            )
        return str(folder), {"local_files_only": True}
    path = Path(name).expanduser()
    # A hub id is NAME or OWNER/NAME. Anything else can only be a path, so the hub is not asked for it.
    is_path = path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1
    if is_path and not path.exists():
        raise ScorerError(
            f"there is no model folder or GGUF file {name!r}; check the path, or give a hub id, a GGUF file or {TINY!r}"
        )
    if path.is_file() and path.suffix != ".gguf":
        raise ScorerError(f"the file {name!r} is no model; give its folder, or a file that ends in .gguf")
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ScorerError(f"there is no GGUF file {name!r}; check the path")
        _check_gguf(path)
        return str(path.parent), {"gguf_file": path.name}
    if not path.is_dir():
        return name, {}
    gguf = sorted(path.glob("*.gguf"))
    if (path / "config.json").is_file() or not gguf:
        return str(path), {"local_files_only": True}
    if len(gguf) > 1:
        raise ScorerError(f"the folder {name!r} holds {len(gguf)} GGUF files; name one, such as {str(gguf[0])!r}")
    _check_gguf(gguf[0])
    return str(path), {"gguf_file": gguf[0].name}


def asks_the_hub(name: str) -> bool:
    """Return whether loading a model means a download: no folder, no file, not in the hub's cache, and not offline.

    A model in the cache counts as here, though the hub may be asked whether there is a newer version.

    Raises
    ------
    ScorerError
        As for `locate`.
    """
    source, extra = locate(name)
    if extra or is_offline_mode():
        return False
    try:
        return not isinstance(try_to_load_from_cache(source, "config.json"), str)
    except HFValidationError:
        # It is not a hub id either; loading it will say so at once.
        return False


def check_hub_reach(name: str) -> None:
    """Check that the hub can be reached, if loading a model means a download.

    Raises
    ------
    ScorerError
        If the hub would have to be asked and no connection to it can be made, or as for `locate`.
    """
    if asks_the_hub(name) and hub_is_out_of_reach():
        raise _not_here(name)


def check_name(name: str) -> None:
    """Check that a model's name can lead to a model, as far as that shows without reading files or asking the hub.

    Raises
    ------
    ScorerError
        If it can be no hub id, or is none that was fetched before where the hub must not be asked, or as for `locate`.
    """
    source, extra = locate(name)
    if extra:
        return
    try:
        fetched = isinstance(try_to_load_from_cache(source, "config.json"), str)
    except HFValidationError as error:
        raise not_loaded(name, source, error) from error
    if is_offline_mode() and not fetched:
        raise _not_here(name)


def check_weights(name: str, source: str) -> None:
    """Check that a model has weights: in its folder, in the hub's cache, or in its repository on the hub.

    Only names of files are looked at, and nothing is downloaded. The hub is asked only if the cache has no weights.

    Parameters
    ----------
    name
        The name that was asked for.
    source
        What `locate` returned for it: a folder without a GGUF file, or a hub id whose configuration is in the cache.

    Raises
    ------
    ScorerError
        If there are no weights, or none here while the hub must not be asked or does not answer.
    """
    folder, kinds = Path(source), " or ".join(_WEIGHTS)
    if folder.is_dir():
        if not _has_weights(path.name for path in folder.iterdir()):
            raise ScorerError(f"the folder {name!r} holds no weights ({kinds})")
        return
    fetched = try_to_load_from_cache(source, "config.json")
    if isinstance(fetched, str) and _has_weights(path.name for path in Path(fetched).parent.iterdir()):
        return
    if is_offline_mode():
        raise ScorerError(
            f"of the hub's model {name!r}, weights ({kinds}) are not among what was fetched before, and {_OFFLINE}; "
            "fetch it while the hub can be asked, or give the folder where the model is"
        )
    try:
        files_there = HfApi().list_repo_files(source)
    # The hub's client and its network library raise errors of many kinds.
    except Exception as error:
        raise ScorerError(
            f"of the hub's model {name!r}, weights ({kinds}) are not among what was fetched before, and the hub "
            f"({constants.ENDPOINT}) does not say whether it has any: {line(error)}"
        ) from error
    if not _has_weights(files_there):
        raise ScorerError(f"the hub's model {name!r} has no weights ({kinds}) that can be loaded")


def _has_weights(names: Iterable[str]) -> bool:
    """Return whether any file is one of weights. Paths with a folder do not count: transformers does not load them."""
    return any(fnmatch(name, kind) for name in names if "/" not in name for kind in _WEIGHTS)


def not_loaded(name: str, source: str, error: Exception) -> ScorerError:
    """Return the error to raise if a model cannot be loaded: it says what is missing here, then what the hub said.

    Parameters
    ----------
    name
        The name that was asked for.
    source
        What `locate` returned for it.
    error
        What transformers raised.
    """
    if Path(source).is_dir():
        if not (Path(source) / "config.json").is_file():
            # A run folder of a training has the model in its subfolder "model".
            inner = Path(source) / "model"
            known = (inner / "config.json").is_file()
            give = f"its model, {str(inner)!r}" if known else "the folder of a model, such as runs/taught/model"
            return ScorerError(f"cannot load a causal language model from {name!r}: no config.json in it; give {give}")
        return ScorerError(f"cannot load a causal language model from {name!r}, tried as folder: {line(error)}")
    if not any(isinstance(cause, LocalEntryNotFoundError) for cause in _causes(error)):
        return ScorerError(f"{_missing(name)}, and as a hub id it cannot be loaded: {line(error)}")
    return _not_here(name)


def _missing(name: str) -> str:
    meant = f" (did you mean {TINY!r}?)" if get_close_matches(name.lower(), [TINY]) else ""
    return f"there is no model folder or GGUF file {name!r} here{meant}"


def _not_here(name: str) -> ScorerError:
    """Return the error to raise if a model is not here and the hub cannot say whether it has it."""
    asked = _OFFLINE if is_offline_mode() else f"the hub ({constants.ENDPOINT}) could not be reached"
    return ScorerError(
        f"{_missing(name)}; if it is meant as a hub id: it is not among what was fetched before, and {asked}. Mend the "
        "name, or give the folder where the model is"
    )


def gguf_not_loaded(name: str, error: Exception) -> ScorerError:
    """Return the error to raise if transformers cannot read what is in a GGUF file."""
    return ScorerError(
        f"cannot load a causal language model from the GGUF file of {name!r}: {line(error)}; the file may be damaged "
        "(fetch it again), or of an architecture that transformers does not convert (use its safetensors weights)"
    )


def _check_gguf(file: Path) -> None:
    """Raise `ScorerError` unless a file begins as every GGUF file does."""
    with file.open("rb") as stream:
        begin = stream.read(4)
    if begin != b"GGUF":
        raise ScorerError(f"{str(file)!r} is no GGUF file: it begins with {begin!r}, not with b'GGUF'; fetch it again")


def line(error: Exception) -> str:
    """Return a library's error as one line of at most 300 characters, cut after a word, without a full stop."""
    text = " ".join(str(error).split())
    if len(text) > 300:
        text = text[:297].rsplit(" ", 1)[0] + "..."
    # An ellipsis stays, also one that is part of the message.
    return f"{type(error).__name__}: {text if text.endswith('..') else text.removesuffix('.')}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and the errors that caused it."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
