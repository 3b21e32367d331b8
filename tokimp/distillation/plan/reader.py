"""Read the YAML file of a plan: plain data as YAML 1.2 has it, no key twice, and limits for a file made to do harm."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import yaml

from tokimp.errors import PlanError

# Far above what any plan needs. A small file can stand for a huge one: each alias repeats what it stands for.
_MOST_BYTES = 2**18
_MOST_DEPTH = 32
_MOST_ENTRIES = 20_000
_LONGEST_REASON = 300
_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """A loader of what JSON can hold, by the core schema of YAML 1.2.

    PyYAML reads YAML 1.1, in which 010 is 8, 1:30 is 90, 1e-4 is a text, yes is true and 2020-01-01 is a date. A key
    that stands twice is refused, and so is a tag for anything but text, numbers, truth values, lists and mappings.
    """

    # The stubs of PyYAML take the table of its own classes for one of each instance.
    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}  # type: ignore[misc] # as above
    yaml_constructors: ClassVar[dict[str | None, Any]] = {}


def _mapping(loader: _Loader, node: yaml.Node) -> dict[Any, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise yaml.constructor.ConstructorError(None, None, "this is no mapping", node.start_mark)
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


def _list(loader: _Loader, node: yaml.Node) -> list[Any]:
    return list(loader.construct_sequence(node, deep=True))  # type: ignore[arg-type] # a node of another kind is refused


def _scalar(loader: _Loader, node: yaml.Node) -> str:
    return str(loader.construct_scalar(node))  # type: ignore[arg-type] # a node of another kind is refused


def _truth(loader: _Loader, node: yaml.Node) -> bool:
    text = _scalar(loader, node).lower()
    if text not in {"true", "false"}:
        raise yaml.constructor.ConstructorError(None, None, f"{text!r} is not true or false", node.start_mark)
    return text == "true"


def _whole_number(loader: _Loader, node: yaml.Node) -> int:
    text = _scalar(loader, node)
    base = 8 if text.startswith("0o") else 16 if text.startswith("0x") else 10
    return int(text[2:] if base != 10 else text, base)


def _number(loader: _Loader, node: yaml.Node) -> float:
    # YAML writes .inf and .nan where Python writes inf and nan.
    return float(re.sub(r"\.(?=inf|nan)", "", _scalar(loader, node).lower()))


for _name, _construct in {
    "null": lambda *_: None,
    "bool": _truth,
    "int": _whole_number,
    "float": _number,
    "str": _scalar,
    "seq": _list,
    "map": _mapping,
}.items():
    _Loader.yaml_constructors[_TAG + _name] = _construct
_Loader.yaml_constructors[None] = yaml.SafeLoader.construct_undefined
# The first pattern that fits decides; what fits none is a text.
for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), _first)


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
        If it cannot be read, is no YAML, has a key twice, or is larger, deeper or more repetitive than a plan can be;
        the message names file and line.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"the plan {path} cannot be read: {error}") from error
    if len(content) > _MOST_BYTES:
        raise PlanError(f"{path} is no plan: it has more than {_MOST_BYTES // 1024} KiB")
    try:
        _check_depth(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _count_entries(node, {}, set())
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark is not None else ""
        raise PlanError(f"{path}{line}: not a plan in YAML: {_cut(error.problem or error.context)}") from error
    # A number of thousands of digits makes YAML raise what Python raises.
    except (yaml.YAMLError, ValueError) as error:
        raise PlanError(f"{path}: not a plan in YAML: {_cut(error)}") from error


def _check_depth(text: str) -> None:
    """Raise if lists and mappings lie too deep in each other: the next steps of reading call themselves for each."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MOST_DEPTH:
                message = f"more than {_MOST_DEPTH} lists and mappings lie in each other"
                raise yaml.constructor.ConstructorError(None, None, message, event.start_mark)  # type: ignore[arg-type] # its stubs know one of two marks
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _count_entries(node: yaml.Node, counted: dict[int, int], inside: set[int]) -> int:
    """Return how many entries a node stands for, with those that its aliases repeat; raise if they are too many."""
    if id(node) in inside:
        raise yaml.constructor.ConstructorError(None, None, "an alias stands for what it is in itself", node.start_mark)
    if id(node) not in counted:
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            parts = node.value
        elif isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        inside.add(id(node))
        counted[id(node)] = 1 + sum(_count_entries(part, counted, inside) for part in parts)
        inside.remove(id(node))
    if counted[id(node)] > _MOST_ENTRIES:
        message = f"with its aliases written out, it has more than {_MOST_ENTRIES} entries"
        raise yaml.constructor.ConstructorError(None, None, message, node.start_mark)
    return counted[id(node)]


def _cut(reason: object) -> str:
    text = " ".join(str(reason).split())
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON // 2]}...{text[-_LONGEST_REASON // 2 :]}"
