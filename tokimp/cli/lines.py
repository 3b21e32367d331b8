"""Lines and files that several commands write in the same way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tokimp.chains.visible_text import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def echo(text: str, *, err: bool = False) -> None:
    """Write a line to standard output, or to standard error, with the control characters of its text written out."""
    click.echo(visible(text), err=err)


def echo_left_out(reason: str, where: str = "") -> None:
    """Say on standard error that a record was left out, where it stands, and why."""
    line = f"left out: {where}: {reason}" if where else f"left out: {reason}"
    echo(" ".join(line.split()), err=True)


def figure_files(folder: Path, stem: str) -> list[Path]:
    """Return the two files that a figure is written to."""
    return [folder / f"{stem}.{kind}" for kind in ("png", "svg")]


def save_figure(figure: Figure, folder: Path, stem: str) -> list[Path]:
    """Write a figure as PNG and SVG, each as a whole or not at all, and return the two files."""
    from tokimp.storage.atomic import replacing

    paths = figure_files(folder, stem)
    for path in paths:
        with replacing(path) as partial:
            figure.savefig(partial, format=path.suffix[1:], dpi=160)
    return paths
