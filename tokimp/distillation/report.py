"""The tables and the figure of a distillation: accuracy by method and keep ratio, lengths, which methods differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from rich.markup import escape
from rich.table import Table

from tokimp.distillation.steps.results import GROUP
from tokimp.report.plot.student_panels import StudentCurves, student_accuracy
from tokimp.report.terminal import keep_words_whole, new_table

_LEVEL = 0.05


def accuracy_tables(curves: pd.DataFrame) -> Iterator[Table]:
    """Yield, for each student, teacher and pruner, a table of accuracy: methods by keep ratios, references below.

    Parameters
    ----------
    curves
        What `tokimp.distillation.steps.results.curve_table` returns.
    """
    for names, pruned, references in panels(curves):
        ratios = sorted(pruned["keep_ratio"].unique(), reverse=True)
        table = new_table(f"Accuracy: {_heading(names)} ({int(curves['n'].iloc[0])} questions)")
        table.add_column("method")
        for ratio in ratios:
            table.add_column(f"{ratio:g}", justify="right")
        for method, rows in pruned.groupby("method", sort=False):
            at = {row["keep_ratio"]: row for row in rows_of(rows)}
            table.add_row(escape(str(method)), *[_point(at[r]) if r in at else "-" for r in ratios])
        table.add_section()
        for row in rows_of(references):
            table.add_row(f"[dim]{_REFERENCES[row['kind']]}[/]", _point(row))
        unmatched = pruned[~pruned["matched"].astype(bool)]
        seeds = int(pruned["seeds"].max()) if len(pruned) else 1
        table.caption = (
            f"mean over {seeds} seeds ± standard deviation over seeds; 95 % interval for other seeds and questions"
            if seeds > 1
            else "one seed; 95 % interval for other questions to the same student, not for other trainings"
        )
        if len(unmatched):
            table.caption += "; * its kept share is more than 1 % from the methods' mean: not at the same length"
        yield keep_words_whole(table)


def length_table(curves: pd.DataFrame) -> Table:
    """Return a table of lengths: what each method kept, what tokenising anew changed, what students write."""
    table = new_table("Lengths (shares of the pruner's tokens; tokens a student writes before its answer)")
    for heading in (*GROUP, "method"):
        table.add_column(heading)
    for heading in (
        "chains",
        "keep ratio",
        "kept share",
        "matched",
        "chains changed",
        "tokens changed",
        "student writes",
    ):
        table.add_column(heading, justify="right")
    for row in rows_of(curves):
        pruned = row["kind"] == "pruned"
        names = [_text(row[name]) for name in GROUP]
        method = escape(row["method"]) if pruned else f"[dim]{_REFERENCES[row['kind']]}[/]"
        writes = "-" if pd.isna(row["reasoning_tokens"]) else f"{row['reasoning_tokens']:.1f}"
        retokenised = [_share(row["changed_chains"]), _share(row["changed_tokens"])]
        matched = ("yes" if row["matched"] else "no") if pruned else "-"
        ratio = f"{row['keep_ratio']:g}" if row["kind"] != "untrained" else "-"
        chains = "-" if pd.isna(row["chains"]) else f"{row['chains']:.0f}"
        table.add_row(*names, method, chains, ratio, _share(row["kept_share"]), matched, *retokenised, writes)
    table.caption = (
        "changed: share of chains whose shortened text, tokenised anew, has other ids than were kept, and share of the "
        "tokens kept that are not found again in it"
    )
    return keep_words_whole(table)


def difference_table(differences: pd.DataFrame) -> Table:
    """Return a table of those pairs of methods that differ, after correction for all pairs at a keep ratio."""
    table = new_table("Methods that differ (paired on the questions, Holm-corrected at each keep ratio, below 0.05)")
    for heading in (*GROUP, "keep ratio", "better", "worse"):
        table.add_column(heading)
    for heading in ("difference", "95% interval", "p", "p (Holm)"):
        table.add_column(heading, justify="right")
    shown = differences[differences["p_holm"] < _LEVEL] if len(differences) else differences
    for row in rows_of(shown):
        names, sign = [row["first"], row["second"]], 1
        if row["difference"] < 0:
            names, sign = names[::-1], -1
        low, high = sorted((sign * row["low"], sign * row["high"]))
        table.add_row(
            *[_text(row[name]) for name in GROUP],
            f"{row['keep_ratio']:g}",
            *map(escape, names),
            f"{sign * row['difference']:+.3f}",
            f"\\[{low:+.3f},{high:+.3f}]",
            _p(row["p_value"]),
            _p(row["p_holm"]),
        )
    if not len(shown):
        table.add_row("none differ")
    several = len(differences) and (differences["test"] != "McNemar").all()
    about = "other trainings and other questions" if several else "other questions for the same students"
    table.caption = f"{len(shown)} of {len(differences)} pairs; intervals and p-values are about {about}"
    return keep_words_whole(table)


_REFERENCES = {"untrained": "untrained student", "unpruned": "trained on whole chains"}


def panels(curves: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame, pd.DataFrame]]:
    """Yield names, curves and references of each student, teacher and pruner.

    References are no methods: the student before training, and the student trained on whole chains.
    """
    pruned = curves[curves["kind"] == "pruned"]
    untrained = curves[curves["kind"] == "untrained"]
    whole = curves[curves["kind"] == "unpruned"]
    for names, rows in pruned.groupby(GROUP, sort=False):
        student, teacher, _ = names
        of_teacher = whole[(whole["student"] == student) & (whole["teacher"] == teacher)]
        references = pd.concat([untrained[untrained["student"] == student], of_teacher])
        yield dict(zip(GROUP, map(str, names), strict=True)), rows, references


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table's rows, each as a mapping from column names."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def draw_curves(curves: pd.DataFrame) -> Figure:
    """Draw accuracy over the keep ratio: one panel for each student, teacher and pruner, one line a method.

    Bands reach from the lowest to the highest seed. Lines across a panel are references: the student before training,
    dotted, and trained on whole chains, dashed.

    Parameters
    ----------
    curves
        What `tokimp.distillation.steps.results.curve_table` returns.
    """
    shown = [StudentCurves(_heading(names), pruned, references) for names, pruned, references in panels(curves)]
    return student_accuracy(shown, int(curves["n"].iloc[0]), int(curves["seeds"].max())).figure


def _heading(names: dict[str, str]) -> str:
    pruner = "" if names["pruner"] == names["teacher"] else f", pruned by {names['pruner']}"
    return f"{names['student']} taught by {names['teacher']}{pruner}"


def _point(row: Mapping[str, Any]) -> str:
    spread = "" if pd.isna(row["deviation"]) else f" ±{row['deviation']:.3f}"
    star = "" if bool(row["matched"]) else "*"
    # Folders of older versions have no interval of the mean over seeds.
    ends = f" [dim]\\[{row['low']:.3f},{row['high']:.3f}][/]" if "low" in row and not pd.isna(row["low"]) else ""
    return f"{row['accuracy']:.3f}{spread}{star}{ends}"


def _text(value: object) -> str:
    return "-" if value is None or value != value else escape(str(value))  # noqa: PLR0124 - a NaN differs from itself


def _share(value: float | None) -> str:
    return "-" if value is None or np.isnan(value) else f"{value:.3f}"


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"
