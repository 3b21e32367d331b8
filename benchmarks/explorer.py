"""How large the explorer's page is, how long it takes to write, and how long until a browser shows it.

``python benchmarks/explorer.py [CHAINS ...]`` makes results of that many chains of 200 tokens, with 12 estimators of
random importances, and prints a line for each. The browser is Chromium, through Playwright, where both are installed.
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import tokimp as ti
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain

TOKENS, ESTIMATORS = 200, 12


def measure(n_chains: int, folder: Path) -> None:
    """Write a page of this many chains, open it, and print what that took."""
    random = np.random.default_rng(0)
    text = "The first step is to add the two numbers. " * 5
    chains = [toy_chain(text[:TOKENS], question=f"How many are {i}?", id=f"chain-{i}") for i in range(n_chains)]
    result = toy_result(
        {f"estimator-{e}": [random.normal(size=TOKENS) for _ in chains] for e in range(ESTIMATORS)}, chains
    )
    begin = time.perf_counter()
    page = ti.view(result, folder / f"{n_chains}.html")
    wrote = time.perf_counter() - begin
    size = page.stat().st_size / 1e6
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{n_chains} chains x {ESTIMATORS}: {size:.1f} MB, written in {wrote:.1f} s, peak memory {memory:.1f} GB",
        end="",
    )
    print(f", shown after {shown_after(page):.1f} s")


def shown_after(page: Path) -> float:
    """Return the seconds from opening the page until the first chain is shown; NaN without a browser."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - the rest works without it
    except ImportError:
        return float("nan")
    if chromium is None:
        return float("nan")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page()
        begin = time.perf_counter()
        opened.goto(page.as_uri())
        opened.wait_for_selector(".lane")
        seconds = time.perf_counter() - begin
        browser.close()
    return seconds


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        for count in map(int, sys.argv[1:] or ["200", "2000"]):
            measure(count, Path(made))
