"""The page itself: what is in it, and what a browser may do with it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import xarray as xr

from tokimp.report.explorer.chain_data import chain_data
from tokimp.report.explorer.run_data import ChainsSummary, find_node, run_data
from tokimp.results.by_chain import iterate
from tokimp.results.effects_node import read_effects
from tokimp.results.schema import validate
from tokimp.storage.atomic import replacing

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<div id="explorer">Reading the result ... (This page needs JavaScript, and a browser of 2023 or later.)</div>
"""
_END = """<script>{script}</script>
</body>
</html>
"""


def write_page(result: xr.DataTree, path: Path, *, title: str, command: str) -> None:
    """Write the explorer of a result: one HTML file that asks for nothing else.

    Each chain is a compressed block of its own, which the page unpacks when the chain is looked at. All text of chains
    is in these blocks, so none of it is ever markup. The page's content security policy allows its own script and
    style, by their digests, and nothing else.

    Parameters
    ----------
    result
        A result.
    path
        The file to write.
    title
        The heading of the page.
    command
        How an analysis is added to the result, with ``{}`` for its name; shown where one is missing.

    Raises
    ------
    SchemaError
        If the result is not valid.
    StorageError
        If the file cannot be written.
    """
    validate(result)
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        for part in _parts(result, title, command):
            stream.write(part)


def _parts(result: xr.DataTree, title: str, command: str) -> Iterator[str]:
    script, style = built("explorer.js"), built("explorer.css")
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_digest(script)}'",
            f"style-src '{_digest(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    yield _PAGE.format(policy=html.escape(policy), title=html.escape(title), style=style)
    faithfulness, recovery = find_node(result, "faithfulness"), find_node(result, "answer_recovery")
    effects = read_effects(result)
    summary = ChainsSummary(result.sizes["estimator"])
    for index, (_, chain) in enumerate(iterate(result)):
        chain.load()
        summary.add(chain)
        yield _block(f"chain-{index}", chain_data(chain, index, faithfulness, recovery, effects))
    yield _block("run", run_data(result, title, summary, command))
    yield _END.format(script=script)


def built(name: str) -> str:
    """Return a file of the page's program, which is built from the sources in ``explorer/``."""
    return files("tokimp.report.explorer").joinpath("built", name).read_text(encoding="utf-8")


def _block(name: str, data: dict[str, Any]) -> str:
    """Return data as an element that no browser runs; base64 has no character that could end it."""
    # A fixed time in the header: the same result makes the same page.
    packed = gzip.compress(json.dumps(data, ensure_ascii=False, allow_nan=False).encode(), mtime=0)
    return f'<script type="application/gzip" id="{name}">{base64.b64encode(packed).decode()}</script>\n'


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
