"""Lines that several commands write in the same way."""

from __future__ import annotations

import click

from tokimp.chains.visible_text import visible


def echo(text: str, *, err: bool = False) -> None:
    """Write a line to standard output, or to standard error, with the control characters of its text written out."""
    click.echo(visible(text), err=err)


def echo_left_out(reason: str, where: str = "") -> None:
    """Say on standard error that a record was left out, where it stands, and why."""
    line = f"left out: {where}: {reason}" if where else f"left out: {reason}"
    echo(" ".join(line.split()), err=True)
