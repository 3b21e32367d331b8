"""The figures of the gallery: those that an example's code has a name for, and those of pyplot."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst, matplotlib_scraper

_shown: list[Figure] = []


def scrape_figures(block: tuple[Any, ...], variables: dict[str, Any], settings: dict[str, Any]) -> str:
    """Save the figures that one block of an example made, and return the text that shows them.

    An analysis returns a figure that pyplot does not know, as a library should; pyplot's own are left to the gallery.
    """
    files = []
    for value in list(variables["example_globals"].values()):
        figure = value.get_figure() if isinstance(value, Axes) else value
        if isinstance(figure, Figure) and not hasattr(figure, "number") and all(figure is not seen for seen in _shown):
            _shown.append(figure)
            files.append(next(variables["image_path_iterator"]))
            figure.savefig(files[-1], dpi=150)
    own = figure_rst(files, settings["src_dir"]) if files else ""
    return own + str(matplotlib_scraper(block, variables, settings))
