"""The files that a figure is written to: PNG for the screen, SVG and PDF for print."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tokimp.storage.atomic import replacing

# No file says when it was made, so that the same figure is the same file.
_METADATA: dict[str, dict[str, None]] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
DPI = 300


def figure_files(folder: Path, stem: str) -> list[Path]:
    """Return the files that a figure is written to."""
    return [folder / f"{stem}.{kind}" for kind in _METADATA]


def save_figure(figure: Figure, folder: Path, stem: str) -> list[Path]:
    """Write a figure as PNG, SVG and PDF, each as a whole or not at all, and return the files.

    Letters are embedded: in SVG as outlines, in PDF as fonts, so that a printed page looks as the screen does.
    """
    paths = figure_files(folder, stem)
    # Elements of an SVG file are named after the salt, which is random by default.
    with mpl.rc_context({"svg.hashsalt": "tokimp", "pdf.fonttype": 42}):
        for path in paths:
            kind = path.suffix[1:]
            with replacing(path) as partial:
                figure.savefig(partial, format=kind, dpi=DPI, metadata=_METADATA[kind])
    return paths
