"""Read the YAML file of a plan: plain data only, no key twice, and numbers that read as numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tokimp.errors import PlanError


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, but it refuses a key that stands twice and reads 1e-4 as a number."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            message = "a key must be a word, not a list or a mapping"
            raise yaml.constructor.ConstructorError(None, None, message, key_node.start_mark)
        if key_node.value in seen:
            message = f"the key {key_node.value!r} stands twice"
            raise yaml.constructor.ConstructorError(None, None, message, key_node.start_mark)
        seen.add(key_node.value)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
# YAML 1.1 takes 1e-4 for text, because it has no dot.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


@contextmanager
def naming(path: Path | None) -> Iterator[None]:
    """Put the plan's file in front of the message of a `PlanError`; leave it as it is for a plan made in Python."""
    try:
        yield
    except PlanError as error:
        if path is None:
            raise
        raise PlanError(f"{path}: {error}") from error


def read_plan_file(path: Path) -> Any:
    """Return what a YAML file holds.

    Raises
    ------
    PlanError
        If it cannot be read, is no YAML, or has a key twice; the message names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"the plan {path} cannot be read: {error}") from error
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark is not None else ""
        raise PlanError(f"{path}{line}: not a plan in YAML: {error.problem or error.context}") from error
    # A value that looks like a date or a number and is none makes YAML raise what the constructor raises.
    except (yaml.YAMLError, ValueError) as error:
        raise PlanError(f"{path}: not a plan in YAML: {error}") from error
