"""The page in a browser: Chromium, without a window, driven by Playwright. Skipped where either is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import tokimp as ti
from tests.report.explorer.test_page import HOSTILE
from tokimp.contracts.estimator import Importance
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = os.environ.get("TOKIMP_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; TOKIMP_CHROMIUM names another one")
# A browser that is used for one file needs no sandbox of its own, and must look for nothing on the network.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
QUIET += ["--disable-sync", "--no-first-run"]
REASONING = ["Two and two is four. 😀 So it is 4.", HOSTILE + " end"]


def example() -> xr.DataTree:
    """Return a result of two chains and three estimators; for the last one, units tie in pairs."""
    random = np.random.default_rng(0)
    chains = [
        toy_chain(text, question=f"Question {index} {HOSTILE}", answer="#### 4", id=f"chain/{index} {HOSTILE}")
        for index, text in enumerate(REASONING)
    ]
    scores = {name: [random.normal(size=len(text)) for text in REASONING] for name in ("first", "second")}
    in_pairs: list[Any] = [Importance(np.arange(len(text)) // 2 * 1.0) for text in REASONING]
    return toy_result({**scores, "steps": in_pairs}, chains)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for the tests of this file."""
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield running
        running.close()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the example."""
    return ti.view(example(), tmp_path_factory.mktemp("page") / "page.html")


@pytest.fixture
def page(browser: Any, page_file: Path) -> Iterator[Any]:
    """The open page; at the end, no error was logged and no request left it."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    opened.on("dialog", lambda dialog: problems.append(f"a dialog: {dialog.message}"))
    requests: list[str] = []
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(page_file.as_uri())
    opened.wait_for_selector(".lane")
    yield opened
    assert not problems
    assert {url.partition("#")[0] for url in requests if not url.startswith("data:")} == {page_file.as_uri()}
    context.close()


def set_kept(page: Any, units: int) -> None:
    """Move the slider."""
    page.evaluate(
        """units => {
            const slider = document.getElementById("keep");
            slider.value = units;
            slider.dispatchEvent(new Event("input", { bubbles: true }));
        }""",
        units,
    )


def shown(text: str) -> str:
    """Return a text as the page shows it: marks of direction and line separators are written out."""
    return text.replace("\u202e", "⟨U+202E⟩").replace("\u2028", "⟨U+2028⟩")


def test_the_text_that_is_left_is_pruned_text(page: Any) -> None:
    """At every place of the slider each lane shows what `tokimp.pruned_text` says."""
    result = example()
    chain_id = str(result["chain_id"].to_numpy()[0])
    units = len(REASONING[0])
    for left in (1, units // 3, units - 1):
        set_kept(page, left)
        for estimator in ("first", "second", "steps"):
            expected = shown(ti.pruned_text(result, chain_id, estimator, (left + 0.5) / units))
            page.wait_for_function(
                "([name, text]) => document.querySelector(`[data-testid='left-${name}']`)?.textContent === text",
                arg=[estimator, expected],
            )


def test_text_that_tries_to_be_markup_is_text(page: Any) -> None:
    """Ids, questions, reasoning and answers are shown as they are; nothing of them runs."""
    page.keyboard.press("j")
    page.wait_for_selector("main h2:has-text('chain/1')")
    tokens = page.locator(".lane .tokens").first.text_content()
    assert tokens == shown(REASONING[1])
    assert shown(f"Question 1 {HOSTILE}") in page.locator("main").text_content()


def test_a_link_leads_to_the_same_view(page: Any, browser: Any, page_file: Path) -> None:
    """Chain, lanes, keep ratio and colouring are in the fragment, and another browser opens them from it."""
    page.keyboard.press("j")
    page.get_by_role("button", name="Remove first").click()
    set_kept(page, 5)
    page.get_by_role("radio", name="category").check()
    page.wait_for_function("() => location.hash.includes('category')")
    other = browser.new_context().new_page()
    other.goto(page_file.as_uri() + page.evaluate("() => location.hash"))
    other.wait_for_selector(".lane")
    for each in (page, other):
        assert each.locator(".lane h3").all_text_contents() == ["second", "steps"]
        assert each.locator("main h2").text_content().startswith("chain/1")
        assert each.locator("output").text_content() == f"5 of {len(REASONING[1])} units"
        assert each.get_by_role("radio", name="category").is_checked()
    other.context.close()


def test_the_keyboard_is_enough(page: Any) -> None:
    """Chains, the slider and the units of a lane are reached and moved by keys, and numbers are said."""
    page.keyboard.press("/")
    page.keyboard.type("chain/1")
    playwright.expect(page.get_by_role("listbox").get_by_role("option")).to_have_count(1)
    page.get_by_role("listbox").focus()
    page.keyboard.press("Home")
    page.wait_for_selector("main h2:has-text('chain/1')")
    page.locator("#keep").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("output").text_content() == f"{len(REASONING[1]) - 1} of {len(REASONING[1])} units"
    page.locator(".lane .tokens").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert "unit 1: importance" in page.locator(".lane .numbers").first.text_content()


def test_shades_follow_importance_and_ties_share_one(page: Any) -> None:
    """The most important unit has the fullest shade, and units that tie have the same."""
    shades = page.evaluate(
        "() => [...document.querySelectorAll('.lane')].map(lane => [...lane.querySelectorAll('.tokens .token')]"
        ".map(token => parseFloat(token.style.getPropertyValue('--shade'))))"
    )
    first = example()["importance"].to_numpy()[0][: len(REASONING[0])]
    assert np.argsort(shades[0]).tolist() == np.argsort(first).tolist()
    assert (min(shades[0]), max(shades[0])) == (0, 1)
    assert shades[2][0] == shades[2][1] < shades[2][2]


def test_it_fits_a_phone(browser: Any, page_file: Path) -> None:
    """On a narrow screen nothing is wider than the screen."""
    context = browser.new_context(viewport={"width": 360, "height": 700})
    page = context.new_page()
    page.goto(page_file.as_uri())
    page.wait_for_selector(".lane")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    context.close()


def test_of_many_estimators_those_with_a_lane_stand_out(browser: Any, tmp_path: Path) -> None:
    """Of twelve estimators the matrix shows the four that have a lane, and all on request; nothing is too wide."""
    random = np.random.default_rng(0)
    names = [f"estimator_{index}:method=one,parameter={index}" for index in range(12)]
    result = ti.analyze(
        toy_result({name: [random.normal(size=9), random.normal(size=7)] for name in names}), "agreement"
    )
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(ti.view(result, tmp_path / "many.html").as_uri())
    rows = page.locator(".matrix tbody th")
    playwright.expect(rows).to_have_text(names[1:4])
    page.get_by_role("checkbox", name="all 12 estimators").check()
    playwright.expect(rows).to_have_text(names[1:])
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 1400
    page.close()


def test_the_matrix_shows_agreement_beyond_place_too(browser: Any, tmp_path: Path) -> None:
    """The number of a pair is the mean as it is, beyond place, or with position partialled out, as is chosen."""
    random = np.random.default_rng(0)
    text = "abcdefgh"
    chains = [toy_chain(text, question=f"Question {index}", id=str(index)) for index in range(4)]
    scores = {name: [random.normal(size=len(text)) for _ in chains] for name in ("first", "second")}
    result = ti.analyze(toy_result(scores, chains), "agreement")
    node = ti.analysis_node(result, "agreement").sel(measure="spearman", estimator="first", other="second")
    page = browser.new_page()
    page.goto(ti.view(result, tmp_path / "page.html").as_uri())
    for kind, mean in (
        ("as it is", node["mean"].sel(partial=False)),
        ("beyond place", node["beyond_place_mean"]),
        ("position partialled out", node["mean"].sel(partial=True)),
    ):
        page.get_by_label("Shown").select_option(label=kind)
        playwright.expect(page.locator(".matrix td button").first).to_contain_text(f"{float(mean):.2f}")
    page.close()
