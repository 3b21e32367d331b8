"""Make the explorer of a result, and open it."""

from __future__ import annotations

import warnings
import webbrowser
from os import PathLike
from pathlib import Path

import xarray as xr

from tokimp.errors import TokimpError, TokimpWarning
from tokimp.report.explorer.page import write_page


def view(
    result: xr.DataTree, out: str | PathLike[str] = "explorer.html", *, title: str | None = None, show: bool = False
) -> Path:
    """Write a page in which the chains of a result are read, estimator beside estimator.

    The page is one HTML file. It works without a network, and can be sent to a colleague as it is. It shows the
    analyses that the result has: agreement, faithfulness and answer recovery.

    Parameters
    ----------
    result
        A result of `tokimp.compare`.
    out
        The file to write. A file of this name is replaced.
    title
        The heading of the page; the model and the objective by default.
    show
        Whether to open the page in a browser.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    SchemaError
        If the result is not valid.
    TokimpError
        If `out` does not end in ``.html``.
    StorageError
        If the file cannot be written.
    """
    path = Path(out)
    if path.suffix not in {".html", ".htm"}:
        raise TokimpError(f"out={str(out)!r} is no page; give a name that ends in .html")
    attributes = result.attrs
    heading = title or f"Token importance, {attributes.get('model_id', 'a model')}"
    write_page(result, path, title=heading, command="ti.analyze(result, '{}', ...)")
    if show:
        open_in_browser(path)
    return path


def open_in_browser(page: Path) -> None:
    """Open a page in a browser, and warn where none can be started, as on most servers."""
    address = page.resolve().as_uri()
    if not webbrowser.open(address):
        warnings.warn(
            f"no browser could be started here; open the page yourself: {address} (the file can be copied to another "
            "machine)",
            TokimpWarning,
            stacklevel=2,
        )
