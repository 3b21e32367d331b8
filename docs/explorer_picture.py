"""Make ``docs/images/explorer.png``, the picture of the explorer: ``python docs/explorer_picture.py``.

It compares seven methods on the demo chains, which takes some minutes of one CPU core, and looks at the page with
Chromium through Playwright. A picture of 256 colours is small enough for a repository.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlencode

from PIL import Image
from playwright.sync_api import ViewportSize, sync_playwright

import tokimp as ti

PICTURE = Path(__file__).parent / "images" / "explorer.png"
METHODS = ["greedy", "leave_one_out", "attention", "gradient", "position", "surprisal", "h2o"]
SHOWN = {"chain": "demo-03", "keep": 0.62, "lane": ["greedy", "leave_one_out", "attention", "gradient"]}
SIZE: ViewportSize = {"width": 1400, "height": 800}
LARGEST = 200_000  # bytes


def picture(page: Path) -> bytes:
    """Return what a browser shows of the page, as a PNG file."""
    chromium = os.environ.get("TOKIMP_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("Chromium is not installed; TOKIMP_CHROMIUM names another one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page(viewport=SIZE, color_scheme="light")
        opened.goto(f"{page.as_uri()}#{urlencode(SHOWN, doseq=True)}")
        opened.wait_for_selector(".lane")
        opened.get_by_label("Shown").select_option(label="beyond place")
        opened.locator(".run .u-wrap").first.wait_for()
        taken = opened.screenshot()
        browser.close()
    # Few points of the picture have the colour of a curve; the usual choice of 256 colours would mix such colours.
    few = (
        Image.open(io.BytesIO(taken)).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    )
    colours = io.BytesIO()
    few.save(colours, "PNG", optimize=True)
    return colours.getvalue()


if __name__ == "__main__":
    scorer = ti.load_scorer("tiny")
    result = ti.compare(ti.demo_chains(), scorer, METHODS, objective="answer", unit="word")
    for analysis in ("agreement", "faithfulness"):
        result = ti.analyze(result, analysis)
    with tempfile.TemporaryDirectory() as folder:
        made = picture(ti.view(result, Path(folder) / "explorer.html", title="Demo chains"))
    if len(made) > LARGEST:
        raise SystemExit(f"the picture has {len(made):,} bytes, more than {LARGEST:,}")
    PICTURE.write_bytes(made)
