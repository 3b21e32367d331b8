"""The page: what is in it, and that text of chains is never markup."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import tokimp as ti
from tests.report.explorer.reading import blocks, markup
from tokimp.contracts.estimator import Importance, Trajectory
from tokimp.errors import TokimpError
from tokimp.report.estimator_looks import look_of
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain

HOSTILE = "</script><script>alert(1)</script>\"'&\u202e\u2028😀"


def hostile_result() -> xr.DataTree:
    """Return a result whose texts try to be markup."""
    chain = toy_chain(HOSTILE, question=HOSTILE, answer=HOSTILE, id=HOSTILE)
    return toy_result({f"e{HOSTILE}": [np.arange(len(HOSTILE)) * 1.0], "b": [np.ones(len(HOSTILE))]}, [chain])


def test_text_of_chains_is_data(tmp_path: Path) -> None:
    """Texts come back as they were, and no part of them stands in the page outside the packed blocks."""
    page = ti.view(hostile_result(), tmp_path / "page.html", title=HOSTILE)
    data = blocks(page)
    assert data["chain-0"]["reasoning"] == data["chain-0"]["question"] == data["chain-0"]["id"] == HOSTILE
    assert data["run"]["estimators"][0] == f"e{HOSTILE}"
    assert "alert(1)" not in markup(page).replace(html.escape(HOSTILE), "")
    assert f"<title>{html.escape(HOSTILE)}</title>" in markup(page)


def test_the_policy_allows_the_pages_own_script_and_style_alone(tmp_path: Path) -> None:
    """Nothing may be loaded or sent, and only what has the digests in the policy runs."""
    text = markup(ti.view(hostile_result(), tmp_path / "page.html"))
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])  # type: ignore[index]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    script, style = (re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1] for tag in ("script", "style"))  # type: ignore[index]
    for rule, content in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert set(rules) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}
    assert not re.search(r"https?://(?!www\.w3\.org)", text)


def test_the_same_result_makes_the_same_page(tmp_path: Path) -> None:
    """Two pages of one result have the same bytes."""
    pages = [ti.view(hostile_result(), tmp_path / name).read_bytes() for name in ("a.html", "b.html")]
    assert pages[0] == pages[1]


def test_characters_are_counted_as_a_browser_counts(tmp_path: Path) -> None:
    """A character outside the basic plane counts twice, so that slices of the text are the tokens."""
    reasoning = "a😀b"
    page = ti.view(toy_result({"a": [[1.0, 2.0, 3.0]]}, [toy_chain(reasoning)]), tmp_path / "page.html")
    chain = blocks(page)["chain-0"]
    units = reasoning.encode("utf-16-le")
    slices = [
        units[2 * start : 2 * end].decode("utf-16-le") for start, end in zip(chain["start"], chain["end"], strict=True)
    ]
    assert slices == list(reasoning)


def test_a_lane_holds_ranks_ties_and_what_was_left_after_each_deletion(tmp_path: Path) -> None:
    """Ranks are the result's, ties share a place, and steps are in the order of deletion."""
    trajectory = Trajectory(
        joint=np.array([-2.0, -3.0]), answer=np.array([-1.0, -1.5]), reasoning=np.array([-1.0, -1.5])
    )
    greedy = Importance(np.array([1.0, 0.0, 2.0, 2.0]), order=np.array([1, 0, -1, -1]), trajectory=trajectory)
    silent = Importance(np.array([4.0, 3.0, 2.0, 1.0]))
    result = toy_result({"greedy": [greedy], "other": [silent]}, [toy_chain("abcd", id="c")])
    lanes = blocks(ti.view(result, tmp_path / "page.html"))["chain-0"]["lanes"]
    assert lanes[0]["rank"] == [1, 0, 2, 3]
    assert lanes[0]["doubledPlace"] == [2, 0, 5, 5]
    assert lanes[0]["trajectory"] == {"answer": [-1, -1.5], "joint": [-2, -3]}
    assert lanes[1]["trajectory"] is None


def test_the_largest_effects_of_each_unit_are_there_both_ways(tmp_path: Path) -> None:
    """A unit's effect on the answer is shown, and those units on which it acts most and that act most on it."""
    between = np.array([[0.0, 1.0, -3.0], [0.0, 0.0, 0.5], [0.0, 0.0, 0.0]])
    knowing = Importance(np.array([1.0, 2.0, 3.0]), effects=between, effects_on_answer=np.array([0.25, 0.5, 1.0]))
    silent = Importance(np.array([3.0, 2.0, 1.0]))
    result = toy_result({"knowing": [knowing], "silent": [silent]})
    lanes = blocks(ti.view(result, tmp_path / "page.html"))["chain-0"]["lanes"]
    assert lanes[1]["effects"] is None
    assert lanes[0]["effects"] == {
        "onAnswer": [0.25, 0.5, 1],
        "actsOn": [[[2, -3], [1, 1]], [[2, 0.5]], []],
        "actedOnBy": [[], [[0, 1]], [[0, -3], [1, 0.5]]],
    }


def test_an_estimator_that_says_nothing_about_a_chain_has_no_lane_there(tmp_path: Path) -> None:
    """Where results of other estimators were joined, the page says so chain by chain."""
    parts = [toy_result({name: [[1.0, 2.0]]}, [toy_chain("ab", id=name)]) for name in ("a", "b")]
    data = blocks(ti.view(ti.concat(parts), tmp_path / "page.html"))
    assert [lane is None for lane in data["chain-0"]["lanes"]] == [False, True]
    assert [lane is None for lane in data["chain-1"]["lanes"]] == [True, False]
    assert [cost["chains"] for cost in data["run"]["cost"]] == [1, 1]


def test_analyses_that_are_missing_are_named_with_their_command(tmp_path: Path) -> None:
    """The page of a bare result says what could be added, and how; an analysis that is there is shown."""
    result = toy_result({"a": [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]] * 3, "b": [[2.0, 1.0, 3.0, 4.0, 5.0, 6.0]] * 3})
    bare = blocks(ti.view(result, tmp_path / "page.html"))["run"]
    assert [entry["command"] for entry in bare["missing"]] == [
        f"ti.analyze(result, {name!r}, ...)" for name in ("agreement", "faithfulness", "answer_recovery")
    ]
    analyzed = ti.analyze(result, "agreement")
    run = blocks(ti.view(analyzed, tmp_path / "page.html"))["run"]
    node = ti.analysis_node(analyzed, "agreement")
    spearman = node["mean"].sel(measure="spearman", partial=False).to_numpy()
    assert run["agreement"]["mean"][0][0][0][1] == pytest.approx(spearman[0, 1], rel=1e-4)
    assert run["agreement"]["kinds"] == ["as it is", "beyond place", "position partialled out"]
    for kind, variable in enumerate((node["mean"].sel(partial=False), node["beyond_place_mean"])):
        shown = np.array(run["agreement"]["mean"], dtype=float)[:, kind]
        np.testing.assert_allclose(shown, variable.transpose("measure", "estimator", "other"), rtol=1e-4)
    assert run["agreement"]["noise"][0] == [None, pytest.approx(float(node["noise"][0]), rel=1e-4), None]
    assert len(run["missing"]) == 2


def test_the_units_that_two_estimators_place_furthest_apart_over_all_chains(tmp_path: Path) -> None:
    """The list is sorted by the distance of places, over all chains, as counting says."""
    first, second = [[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]], [[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]
    run = blocks(ti.view(toy_result({"a": first, "b": second}), tmp_path / "page.html"))["run"]
    far = [(unit["chain"], unit["unit"], abs(unit["places"][0] - unit["places"][1])) for unit in run["farApart"][0]]
    assert far == [(0, 0, 1.0), (0, 2, 1.0), (1, 1, 0.5), (1, 2, 0.5)]
    assert [chain["disagreement"] for chain in run["chains"]] == pytest.approx([2.0, 0.5])


def test_a_page_has_the_name_of_one(tmp_path: Path) -> None:
    """Another ending than .html is refused before anything is written."""
    with pytest.raises(TokimpError, match=r"give a name that ends in \.html"):
        ti.view(hostile_result(), tmp_path / "results.nc")
    assert not list(tmp_path.iterdir())


def test_an_estimator_looks_the_same_whatever_is_beside_it(tmp_path: Path) -> None:
    """Hue and line go by the label, as in figures, and not by the place in the run."""
    alone = blocks(ti.view(toy_result({"gradient": [[1.0, 2.0]]}), tmp_path / "alone.html"))["run"]["looks"]
    result = toy_result({"greedy": [[1.0, 2.0]], "gradient": [[1.0, 2.0]]})
    beside = blocks(ti.view(result, tmp_path / "beside.html"))["run"]["looks"]
    look = look_of("gradient")
    assert alone[0] == beside[1] == [look.hue, look.dashes]
