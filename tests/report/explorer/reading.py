"""Read a page of the explorer as a browser does."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r'<script type="application/gzip" id="([a-z0-9-]+)">([A-Za-z0-9+/=]*)</script>\n')


def blocks(page: Path) -> dict[str, Any]:
    """Return the data of a page, by the name of its block."""
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return {name: json.loads(gzip.decompress(base64.b64decode(packed))) for name, packed in found}


def markup(page: Path) -> str:
    """Return the page without its blocks of data."""
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))
