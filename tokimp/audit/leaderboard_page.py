"""The page of a leaderboard, written from its entries alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokimp.audit.leaderboard import labels_in_order
from tokimp.audit.page import COLUMNS, legend, markdown_table, overview_rows, solved_line
from tokimp.audit.settings import LeaderboardSettings
from tokimp.report.number_texts import FEWEST_FOR_AN_INTERVAL, few_chains

Entries = Mapping[str, Mapping[str, Any]]
_HEADING = """# Leaderboard

Made by `tokimp leaderboard {configuration}` from the files beside that configuration; do not edit it by hand.
What the numbers mean, and what may be concluded from them: [audits]({audits}).
"""
_ADD = """
## Add a row

Run `tokimp leaderboard {configuration} --estimator YOURS`, with `pkg.module:Class` or the name of an installed plugin.
It writes one JSON file beside the configuration, and this page anew. Send both as a pull request. Whoever reviews it
runs `tokimp leaderboard {configuration} --check FILE`, which computes every score of some chains again, drawn by a seed
of the reviewer's, and the means from the chains in the file.
"""


def leaderboard_page(
    entries: Entries, settings: LeaderboardSettings, configuration: Path, audits: str = "../audit.md"
) -> str:
    """Return the page as Markdown.

    Parameters
    ----------
    entries
        By estimator, as `tokimp.audit.leaderboard.read_entries` returns them.
    settings
        The configuration.
    configuration
        Its path, as the page is to name it.
    audits
        Where the page about audits is, seen from this one.
    """
    lines = [_HEADING.format(configuration=configuration, audits=audits)]
    for unit in settings.units:
        labels = labels_in_order(entries, unit)
        if labels:
            lines += _unit(unit, [entries[label]["units"][unit] for label in labels], settings)
    lines.append(_ADD.format(configuration=configuration))
    return "\n".join(lines)


def _unit(unit: str, parts: Sequence[Mapping[str, Any]], settings: LeaderboardSettings) -> list[str]:
    first = parts[0]
    card = {"estimators": [part["entry"] for part in parts], "confidence": 0.95, "answered": first["answered"]}
    lines = [f"## By {unit}", "", f"{_made_of(parts)}", ""]
    fewest = min(part["chains"] for part in parts)
    if fewest < (settings.audit.limit or 0):
        lines += [
            f"**Not complete**: made of {fewest} chains, and the configuration asks for {settings.audit.limit}. The "
            "same command goes on from what is stored."
            + (" Nothing can be told of other chains from so few." if few_chains(fewest) else ""),
            "",
        ]
    lines += markdown_table(COLUMNS, overview_rows(card))
    lines += ["", legend(card), ""]
    if solved := solved_line(card):
        lines += [solved, ""]
    lines += _in_sentences(card["estimators"])
    return lines


def _made_of(parts: Sequence[Mapping[str, Any]]) -> str:
    """Return what the rows of a table were made of, and which were made of something else."""
    described = [_description(part) for part in parts]
    common = max(described, key=described.count)
    others = [str(part["entry"]["label"]) for part, text in zip(parts, described, strict=True) if text != common]
    return common + (f" Made otherwise, and not to be compared: {', '.join(others)}." if others else "")


def _description(part: Mapping[str, Any]) -> str:
    settings, model = part["settings"], part["model"]
    versions = ", ".join(
        f"{name.removesuffix('_version')} {value}" for name, value in part["versions"].items() if "version" in name
    )
    held_out = (
        " The problems are of the test split, which the embedded model was not trained on."
        if settings["chains"] == "word_problems" and settings["model"] == "tiny"
        else ""
    )
    return (
        f"{part['chains']} chains of {settings['chains']}; {model['model_id']} on {model['backend']} "
        f"({model['dtype']}, {model['device']}; {model['model_fingerprint'][:16]}); objective {settings['objective']}; "
        f"seed {settings['seed']}; {min(settings['changed_chains'], part['chains'])} chains under changed conditions; "
        f"{versions}.{held_out}"
    )


def _in_sentences(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return who is blind, who beats position, and who finds planted text, one line each."""
    verdicts = {str(entry["label"]): {sentence["verdict"] for sentence in entry["sentences"]} for entry in entries}
    lines = []
    for verdict, text in (
        ("beats position", "Better than position on every score"),
        ("not told from position", "Not told from position on any score"),
        ("worse than position", "Worse than position on every score"),
        ("blind to the weights", "Blind to the weights"),
        ("blind to the answer", "Blind to the answer"),
    ):
        labels = [f"`{label}`" for label, of_label in verdicts.items() if verdict in of_label]
        lines.append(f"- {text}: {', '.join(labels) if labels else 'none'}.")
    finders = [
        f"`{entry['label']}` ({kind['kind'].replace('_', ' ')} {kind['auroc_sentence']['mean']:.2f})"
        for entry in entries
        for kind in entry["planted"]
        if kind["kind"] != "filler"
        and (kind["auroc_sentence"]["mean"] or 0) >= 0.9
        and not few_chains(kind["auroc_sentence"]["chains"])
    ]
    found = ", ".join(finders) if finders else "none"
    lines.append(
        f"- A harder kind of planted text with AUROC 0.90 or more by sentence, over {FEWEST_FOR_AN_INTERVAL} chains or "
        f"more: {found}."
    )
    return [*lines, ""]
