"""The page of an audit: tables for a terminal, and the same as Markdown, both written from the card alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from tokimp.report.terminal import keep_words_whole, new_table

Card = Mapping[str, Any]
COLUMNS = (
    "estimator",
    "against random orders",
    "against position",
    "all weights random",
    "beyond position",
    "other answer",
    "least stable under",
    "planted text",
    "positions",
    "seconds",
)


def overview_rows(card: Card) -> list[list[str]]:
    """Return one row for each estimator: what `COLUMNS` name, as texts."""
    return [_row(entry, 1 - card["confidence"]) for entry in card["estimators"]]


def card_tables(card: Card) -> list[Table]:
    """Return the tables that a terminal shows: an overview, and the scores of faithfulness."""
    overview = new_table("Report card")
    for number, column in enumerate(COLUMNS):
        overview.add_column(column, justify="left" if number in {0, 6} else "right")
    for row in overview_rows(card):
        overview.add_row(*(escape(cell) for cell in row))
    overview.caption = legend(card)
    return [keep_words_whole(overview), *_score_tables(card)]


def _score_tables(card: Card) -> Iterator[Table]:
    """Yield a table of how much better than each control estimators are, by score; plausibility has one of its own."""
    corrected = "* told from 0 after correction for all comparisons of the audit; a positive number is better"
    for key, control in (("above_position", "position"), ("above_uniform", "random orders")):
        yield from _differences(card, "faithfulness", key, f"Faithfulness: how much better than {control}", corrected)
    note = "how well rankings agree with the chains' labels, which says nothing of the model; not corrected"
    yield from _differences(card, "plausibility", "above_uniform", "Plausibility: better than random orders", note)


def _differences(card: Card, part: str, key: str, title: str, caption: str) -> Iterator[Table]:
    names = [score["score"] for score in card["estimators"][0][part]]
    if not names:
        return
    table = new_table(f"{title} (mean, {card['confidence']:.0%} interval)")
    table.add_column("estimator")
    for name in names:
        table.add_column(name, justify="right")
    for entry in card["estimators"]:
        cells = [_difference(score.get(key), 1 - card["confidence"]) for score in entry[part]]
        table.add_row(escape(str(entry["label"])), *map(escape, cells))
    table.caption = caption
    yield keep_words_whole(table)


def legend(card: Card) -> str:
    """Return what the columns of the overview mean, in a few sentences."""
    scores = len(card["estimators"][0]["faithfulness"])
    return (
        f"Against a control: on how many of {scores} scores better, or worse (-), than it. All weights random, beyond "
        "position (linear trend taken out), other answer: rank correlation with the ranking as it is, where a method "
        "that reads weights and answer is near 0; 'same' is the very same ranking. Least stable under: the harmless "
        "change that moves it most, and the rank correlation. Planted text: AUROC by sentence of filler, and the mean "
        "of the harder kinds; 0.50 is chance. Positions and seconds: of a chain of median length, asked alone."
    )


def summary(card: Card) -> str:
    """Return one line about the audit: chains, model, unit, objective, and what was left out."""
    settings, model = card["settings"], card["model"]
    parts = [
        f"{card['chains']} chains of {settings['chains']}",
        f"{model['model_id']} on {model['backend']} ({model['dtype']}, {model['device']})",
        f"unit {settings['unit']}",
        f"objective {settings['objective']}",
        f"changed conditions on the first {min(settings['changed_chains'], card['chains'])}",
    ]
    if solved := card["answered"].get("all"):
        parts.append(f"the model gives the answer more than half of its probability on {solved[0]} of {solved[1]}")
    return "; ".join(parts)


def solved_line(card: Card) -> str:
    """Return on how many chains with each kind of planted text the model is sure of the answer; empty if not known."""
    by_kind = {kind: counts for kind, counts in card["answered"].items() if kind != "all"}
    if not by_kind:
        return ""
    told = "; ".join(f"{kind.replace('_', ' ')} {sure} of {known}" for kind, (sure, known) in by_kind.items())
    return f"Chains on which the answer has more than half of the probability, by planted text: {told}."


def card_markdown(card: Card, figure: str = "") -> str:
    """Return the page as Markdown: overview, sentences by estimator, and what was not computed.

    Parameters
    ----------
    card
        The card.
    figure
        Path of the figure, as the page is to name it.
    """
    lines = ["# Report card", "", f"{summary(card)}.", "", *markdown_table(COLUMNS, overview_rows(card)), ""]
    lines += [legend(card), ""]
    if solved := solved_line(card):
        lines += [solved, ""]
    if figure:
        lines += [f"![Report card]({figure})", ""]
    for entry in card["estimators"]:
        lines += [f"## {entry['label']}", ""]
        lines += [f"- **{sentence['verdict']}**: {sentence['text']}" for sentence in entry["sentences"]]
        if entry["chains_failed"]:
            lines.append(f"- **failed**: On {entry['chains_failed']} chains it failed and is left out.")
        lines.append("")
    if card["not_computed"]:
        lines += ["## Not computed", ""]
        lines += [f"- {part}: {reason}" for part, reason in card["not_computed"].items()] + [""]
    versions = ", ".join(f"{name.removesuffix('_version')} {value}" for name, value in card["versions"].items())
    lines += [f"{versions}; seed {card['settings']['seed']}; model {card['model']['model_fingerprint'][:16]}.", ""]
    return "\n".join(lines)


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table; the first column is text, the others are numbers."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [
        f"| {' | '.join(columns)} |",
        f"| --- |{' ---: |' * (len(columns) - 1)}",
        *(f"| {' | '.join(row)} |" for row in cells),
    ]


def _row(entry: Mapping[str, Any], level: float) -> list[str]:
    cost = entry["cost"]
    return [
        str(entry["label"]),
        _counts(entry, "above_uniform", level),
        _counts(entry, "above_position", level),
        _kept(entry, "weights: all", "spearman"),
        _kept(entry, "weights: all", "spearman_beyond_position"),
        _kept(entry, "other answer", "spearman"),
        _least_stable(entry),
        _planted(entry),
        "-" if not cost else f"{cost['positions']:,}",
        "-" if not cost else f"{cost['seconds']:.2g}",
    ]


def _counts(entry: Mapping[str, Any], key: str, level: float) -> str:
    """Return on how many scores an estimator is told from a control: ``3``, ``-2`` or ``2, -1``."""
    told = [score[key] for score in entry["faithfulness"] if score.get(key, {}).get("p_adjusted", 1) < level]
    better = sum(difference["mean"] > 0 for difference in told)
    worse = len(told) - better
    return ", ".join([*([str(better)] if better or not worse else []), *([f"-{worse}"] if worse else [])])


def _difference(difference: Mapping[str, Any] | None, level: float) -> str:
    if not difference or difference["mean"] is None:
        return "-"
    star = "*" if difference.get("p_adjusted", 1) < level else ""
    ends = "" if difference["low"] is None else f" [{difference['low']:.2f},{difference['high']:.2f}]"
    return f"{difference['mean']:+.2f}{star}{ends}"


def _kept(entry: Mapping[str, Any], name: str, measure: str) -> str:
    """Return the rank correlation under the last condition of this name; ``same`` if the ranking is the very same."""
    found = [condition for condition in entry.get("sanity", ()) if condition["condition"].startswith(name)]
    if not found:
        return "-"
    if found[-1]["compared"] and found[-1]["unchanged"] == found[-1]["compared"]:
        return "same"
    return _number(found[-1][measure]["mean"])


def _least_stable(entry: Mapping[str, Any]) -> str:
    known = [found for found in entry.get("stability", ()) if found["spearman"]["mean"] is not None]
    if not known:
        return "-"
    worst = min(known, key=lambda found: found["spearman"]["mean"])
    number = _number(worst["spearman"]["mean"])
    # Where nothing moves the ranking, no condition is the worst.
    return number if number == "1.00" else f"{worst['condition']} {number}"


def _planted(entry: Mapping[str, Any]) -> str:
    """Return the AUROC of filler and the mean of the other kinds, by sentence: ``0.91 / 0.63``."""
    means = {kind["kind"]: kind["auroc_sentence"]["mean"] for kind in entry["planted"]}
    known = [mean for kind, mean in means.items() if kind != "filler" and mean is not None]
    if not means:
        return "-"
    return f"{_number(means.get('filler'))} / {_number(sum(known) / len(known) if known else None)}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{round(value, 2) + 0.0:.2f}"
