"""Lines and files that several commands write in the same way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def echo_left_out(reason: str, where: str = "") -> None:
    """Say on standard error that a record was left out, where it stands, and why."""
    click.echo(f"left out: {where}: {reason}" if where else f"left out: {reason}", err=True)


def save_figure(figure: Figure, folder: Path, stem: str) -> list[Path]:
    """Write a figure as PNG and SVG, and return the two files."""
    paths = [folder / f"{stem}{suffix}" for suffix in (".png", ".svg")]
    for path in paths:
        figure.savefig(path, dpi=160)
    return paths
