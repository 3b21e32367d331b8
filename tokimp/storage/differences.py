"""The differences between two descriptions of a run, in words a user can act on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Fields that follow from the origin (the file, the seed) of questions or chains, which says more than they do.
_FOLLOW_FROM_ORIGIN = ("questions[", "number of questions:", "examples:")
_CHAIN_IDS = re.compile(r"chains\[\d+\]\.tokens:")
_DIGEST = re.compile(r'"[0-9a-f]{64}"')
_LONGEST_VALUE = 80
# A digest of a model's files says more than the path it was loaded from: a folder may be moved, or spelt another way.
_NAME_OF_CONTENT = {"fingerprint": "model_id", "files": "model"}


def differences(before: Any, now: Any, path: str = "") -> Iterator[str]:
    """Yield one line for each place where two things that JSON can hold differ.

    The name or path of a model counts only where the digests beside it (``fingerprint``, ``files``) are not the same.

    Parameters
    ----------
    before, now
        What was recorded, and what is true now.
    path
        Where the two stand in what they are part of.

    Examples
    --------
    >>> list(differences({"seed": 0, "files": ["a"]}, {"seed": 1, "files": []}))
    ['seed: before 0, now 1', 'number of files: before 1, now 0']
    """
    if isinstance(before, dict) and isinstance(now, dict):
        names = {
            name for digest, name in _NAME_OF_CONTENT.items() if before.get(digest) and _equal(before, now, digest)
        }
        for key in [*before, *(key for key in now if key not in before)]:
            if key in names:
                continue
            yield from differences(before.get(key), now.get(key), f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(now, list):
        if len(before) != len(now):
            yield f"number of {path}: before {len(before)}, now {len(now)}"
        for index, (old, new) in enumerate(zip(before, now, strict=False)):
            yield from differences(old, new, f"{path}[{index}]")
    # Compared as text, because not-a-number differs from itself.
    elif json.dumps(before) != json.dumps(now):
        yield f"{path}: before {_shortened(before)}, now {_shortened(now)}"


def causes_of_difference(
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    origin_before: Mapping[str, Any] | None,
    origin_now: Mapping[str, Any] | None,
) -> list[str]:
    """Return the differences between two runs, without those that only follow from another one.

    Parameters
    ----------
    before, now
        The identity that was recorded, and that of the run at hand.
    origin_before, origin_now
        Where what each run is about comes from; ``None`` where that was not recorded.

    Returns
    -------
    list of str
        Lines as `differences` gives them; empty if the two are the same run.
    """
    every_difference = list(differences(before, now))
    # Another unit or format changes the ids of every chain: its own line is enough.
    causes = [line for line in every_difference if not _CHAIN_IDS.match(line)] or every_difference
    causes = _named_by_origin(causes, origin_before, origin_now)
    # If the number of questions has changed, lines about which question stands where add nothing.
    if any(line.startswith("number of questions:") for line in causes):
        causes = [line for line in causes if not line.startswith("questions[")]
    # A plugin of another name is of another class too, with other parameters: one line is enough.
    renamed = {line.split(".name:")[0] for line in causes if ".name:" in line}
    follows = tuple(f"{plugin}.{part}" for plugin in renamed for part in ("class:", "label:", "parameters."))
    return [line for line in causes if not line.startswith(follows)]


def without_keys(content: Any, keys: set[str]) -> Any:
    """Return something that JSON can hold without the entries of these keys, at any depth."""
    if isinstance(content, dict):
        return {name: without_keys(value, keys) for name, value in content.items() if name not in keys}
    return [without_keys(value, keys) for value in content] if isinstance(content, list) else content


def without_newer_parameters(now: Any, before: Any) -> Any:
    """Return a description without the parameters that what was recorded of the same plugin does not have.

    A plugin is the same if its label is. A label names every parameter that differs from its default, so those that a
    later version added are at their defaults.

    Parameters
    ----------
    now, before
        What is true now, and what was recorded.

    Examples
    --------
    >>> recorded = [{"label": "a", "parameters": {"k": 1}}]
    >>> without_newer_parameters([{"label": "a", "parameters": {"k": 2, "new": 3}}], recorded)
    [{'label': 'a', 'parameters': {'k': 2}}]
    """
    if isinstance(now, list) and isinstance(before, list):
        by_label = {entry["label"]: entry for entry in before if isinstance(entry, dict) and "label" in entry}
        return [
            without_newer_parameters(entry, by_label.get(entry.get("label")) if isinstance(entry, dict) else None)
            for entry in now
        ]
    if not isinstance(now, dict) or not isinstance(before, dict):
        return now
    kept = {name: without_newer_parameters(value, before.get(name)) for name, value in now.items()}
    recorded = before.get("parameters")
    if "label" in now and now["label"] == before.get("label") and isinstance(recorded, dict):
        kept["parameters"] = {name: value for name, value in now["parameters"].items() if name in recorded}
    return kept


def _named_by_origin(
    causes: Sequence[str], origin_before: Mapping[str, Any] | None, origin_now: Mapping[str, Any] | None
) -> list[str]:
    """Return the causes with the differences in origin first, in place of everything that follows from them."""
    own_causes = [line for line in causes if not line.startswith(_FOLLOW_FROM_ORIGIN)]
    if not origin_before or not origin_now or len(own_causes) == len(causes):
        return list(causes)
    in_origin = list(differences(origin_before, origin_now))
    # The same origin with other content (a file that was edited) explains nothing.
    return [*in_origin, *own_causes] if in_origin else list(causes)


def _equal(before: Mapping[str, Any], now: Mapping[str, Any], key: str) -> bool:
    return bool(before.get(key) == now.get(key))


def _shortened(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    if _DIGEST.fullmatch(text):
        return text[1:9]
    # A long value is cut in the middle: the end of a path is what tells files apart.
    return text if len(text) <= _LONGEST_VALUE else f"{text[:37]}...{text[-40:]}"
