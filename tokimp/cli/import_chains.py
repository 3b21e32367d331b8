"""``tokimp import``: chains from files of any layout, as JSONL that every other command reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokimp.chains.datasets.response_splits import RESPONSE_SPLITS
from tokimp.cli.lines import echo
from tokimp.cli.options import FORMAT, HUB_SPLIT, KEEP_CALCULATOR, Decorator, with_control_characters

if TYPE_CHECKING:
    from tokimp.chains.chain import Chain
    from tokimp.chains.datasets import SkippedRecord

_SHOWN = 3
_LONGEST = 600  # characters of a text that are shown
_PLACES = 8  # of the records that were left out for one reason
_TEXTS = ("system", "question", "reasoning", "answer", "gold", "wrong_answer")
_FIELDS = (*_TEXTS, "id", "each", "join", "split", "pattern")


def _field(name: str, purpose: str) -> Decorator:
    return click.option(f"--{name.replace('_', '-')}", name, metavar="FIELD", help=purpose)


@click.command(
    name="import",
    epilog="docs/importing.md has a recipe for each of many layouts. For example: tokimp import traces.parquet "
    "--question problem --reasoning generation --split think --gold answer --out chains.jsonl",
)
@click.argument("source")
@_field("question", "Where the question stands.")
@_field("reasoning", "Where the reasoning stands; with --split, the whole response.")
@_field("answer", "Where the answer stands.")
@click.option(
    "--split",
    type=click.Choice(RESPONSE_SPLITS),
    help="Instead of --answer: where the answer begins within the response: after the tags of thinking, at the last "
    "sentence, at the last line, or at the last match of --pattern.",
)
@click.option(
    "--pattern",
    metavar="REGEX",
    help="For --split regex: '(?m)^####', or a pattern with groups named reasoning and answer.",
)
@_field("gold", "Where the right answer stands.")
@_field("system", "Where a system message stands.")
@_field("wrong_answer", "Where a wrong answer stands, for the objective contrast.")
@_field("id", "Where the chain's id stands.  [default: made of question, reasoning and answer]")
@_field("each", "A list of which each entry makes a chain; in the other paths it stands for one entry.")
@click.option(
    "--join",
    metavar="TEXT",
    callback=lambda _context, _option, text: None if text is None else with_control_characters(text),
    help=r"What the texts of a list (of steps, say) are joined by: '\n'.",
)
@FORMAT
@HUB_SPLIT
@KEEP_CALCULATOR
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="Import only the first N chains.  [default: all]"
)
@click.option(
    "--left-out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the place of every record that makes no chain, and the reason, to this file (JSONL).",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="The JSONL file of chains to write.",
)
def import_chains(
    source: str,
    *,
    record_format: str,
    hub_split: str,
    limit: int | None,
    left_out: Path | None,
    out: Path,
    keep_calculator: bool,
    **given: Any,
) -> None:
    """Make chains of the records of SOURCE, and write them as JSONL that the other commands read.

    SOURCE is a file (JSONL, one JSON list, .csv, .tsv, Parquet; gzip, bzip2 or xz around it) or a hub dataset.
    Say which field holds what, or name a --format that tokimp knows; nothing is guessed. A FIELD is a dotted path:
    doc.question, messages.0.content, messages.role=assistant.content, or steps.*.text with --join.

    The first three chains are shown and, with --gold, whether their answers are right. Records that make no chain are
    left out, and counted by reason with their lines.
    """
    from tokimp.chains.datasets import FieldMap, load_chains, save_chains
    from tokimp.cli.inputs import protect_inputs
    from tokimp.errors import ChainError
    from tokimp.storage.atomic import write_records

    places = {name: given[name] for name in _FIELDS if given[name] is not None}
    if not places and record_format == "auto":
        raise click.UsageError(
            f"say which field holds what (--question, --reasoning, ...); {_outline(source, hub_split)}"
        )
    written = [out] if left_out is None else [out, left_out]
    for path in written:
        if not path.parent.is_dir():
            raise click.UsageError(f"{path}: there is no folder {path.parent}; make it first")
    protect_inputs(written, {"SOURCE": source})
    skipped: list[SkippedRecord] = []
    chains = load_chains(
        source,
        format=record_format,
        fields=FieldMap.of(places) if places else None,
        limit=limit,
        keep_calculator=keep_calculator,
        skipped=skipped,
        split=hub_split,
    )
    if left_out is not None:
        write_records(left_out, ({"where": s.where, "id": s.id, "reason": s.reason} for s in skipped))
    _show_first(chains)
    _count_left_out(source, skipped, len(chains))
    if not chains:
        raise ChainError(f"{source}: none of its records makes a chain, so nothing was written")
    save_chains(chains, out)
    echo(f"{len(chains)} chain{'s' * (len(chains) > 1)} written to {out}; tokimp show {out} shows their tokens")


def _outline(source: str, hub_split: str) -> str:
    """Return what the first record of a source holds, so that its fields can be named."""
    from itertools import islice

    from tokimp.chains.datasets.records import Skips
    from tokimp.chains.datasets.sources import source_records

    first = next(islice(source_records(source, hub_split, Skips([])), 1), None)
    if first is None:
        return f"no record of {source} can be read"
    kinds = {str: "text", list: "list", dict: "object", type(None): "null", bool: "true or false"}
    fields = ", ".join(f"{name} ({kinds.get(type(value), 'number')})" for name, value in first.fields.items())
    return f"the first record, {first.where}, has {fields}"


def _show_first(chains: list[Chain]) -> None:
    from tokimp.chains.datasets import is_right

    for chain in chains[:_SHOWN]:
        echo(f"{chain.id}  ({chain.source})")
        for name in _TEXTS:
            if (text := getattr(chain, name)) is not None:
                echo(_labelled(name, text))
        if chain.gold is not None:
            echo(_labelled("right", {True: "yes", False: "no", None: "not known"}[is_right(chain)]))
        echo("")


def _labelled(name: str, text: str) -> str:
    """Return a text beside its name, folded to the terminal's width; the middle of a long text is left out."""
    import shutil
    import textwrap

    if len(text) > _LONGEST:
        half = _LONGEST // 2
        text = f"{text[:half]} [... {len(text) - 2 * half:,} characters ...] {text[-half:]}"
    width = max(40, min(120, shutil.get_terminal_size().columns) - 16)
    folded = [
        part for line in text.split("\n") for part in textwrap.wrap(line, width, replace_whitespace=False) or [""]
    ]
    return "\n".join(f"  {name if number == 0 else '':<12}  {part}" for number, part in enumerate(folded))


def _count_left_out(source: str, skipped: list[SkippedRecord], n_chains: int) -> None:
    """Say how many records make no chain, for which reasons, and where they stand."""
    import re
    from collections import defaultdict

    if not skipped:
        return
    another = re.compile(re.escape(source) + r"(?:\[[^\]]*\])?(?::\d+|\[\d+\])")
    places = defaultdict[str, list[str]](list)
    for record in skipped:
        # What comes after the first semicolon is of one record, or advice; so is the place of another record.
        reason = another.sub("another record", record.reason.partition(";")[0])
        places[reason].append(record.where.removeprefix(source).strip(":[]"))
    of = "line" if ":" in skipped[0].where.removeprefix(source) else "record"
    echo(f"{len(skipped)} of {len(skipped) + n_chains} left out:", err=True)
    for reason, where in sorted(places.items(), key=lambda item: -len(item[1])):
        more = f" and {len(where) - _PLACES} more (--left-out FILE lists all)" if len(where) > _PLACES else ""
        named = f"{of}{'s' * (len(where) > 1)} {', '.join(where[:_PLACES])}{more}"
        echo(f"  {len(where)}: {reason}; {named}", err=True)
