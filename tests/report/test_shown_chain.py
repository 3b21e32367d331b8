"""A chain with shaded tokens, read back from its HTML and from its terminal colours."""

from __future__ import annotations

import re
from html import unescape

import numpy as np
import pytest

import tokimp as ti
from tokimp.errors import EstimatorError, SchemaError
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain

HOSTILE = "</span><script>alert(1)</script>&\x1b[31m😀"


def test_html_holds_the_text_as_data_and_shades_by_importance() -> None:
    """Nothing of a chain is markup, the tokens join to the reasoning, and the most important is darkest."""
    scores = np.random.default_rng(0).permutation(len(HOSTILE)) * 1.0
    result = toy_result({"a": [scores]}, [toy_chain(HOSTILE, question=HOSTILE, answer=HOSTILE)])
    html = ti.show(result)._repr_html_()
    assert "<script" not in html
    assert "\x1b" not in html
    tokens = re.findall(r'<span title="[^"]*" style="background:rgba\(8,81,156,([0-9.]+)\)[^"]*">([^<]*)</span>', html)
    assert "".join(unescape(text) for _, text in tokens) == HOSTILE.replace("\x1b", r"\x1b")
    assert np.argsort([float(shade) for shade, _ in tokens]).tolist() == np.argsort(scores).tolist()


def test_units_that_tie_share_a_shade_and_a_silent_estimator_has_none() -> None:
    """Ties are not told apart by place; where an estimator says nothing, tokens are pale."""
    parts = [toy_result({name: [[1.0, 1.0, 5.0]]}, [toy_chain("abc", id=name)]) for name in ("a", "b")]
    shown = ti.show(ti.concat(parts), "a")
    assert shown.lanes[0].shades.tolist() == [0.25, 0.25, 1.0]
    assert np.isnan(shown.lanes[1].shades).all()


def test_a_terminal_gets_colours_and_a_file_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the ground of a token is its shade; elsewhere no control sequence is written."""
    shown = ti.show(toy_result({"a": [[1.0, 2.0]]}, [toy_chain("xy", id="c")]), keep_ratio=0.5)
    assert "\x1b" not in repr(shown)
    assert [line for line in repr(shown).splitlines() if line.strip()] == [
        "c",
        "?",
        "a",
        "xy",
        "most important: 'y', 'x'",
        "left: y",
        "!",
    ]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert "48;2;255;255;255mx" in repr(shown)


def test_a_chain_and_an_estimator_are_found_by_name_or_place() -> None:
    """A place, an id and a plain name work; what is not there is named."""
    result = toy_result({"greedy:keep_ratio=0.5": [[1.0, 2.0]], "b": [[1.0, 2.0]]}, [toy_chain("xy", id="c")])
    assert [lane.label for lane in ti.show(result, -1, "greedy").lanes] == ["greedy:keep_ratio=0.5"]
    with pytest.raises(SchemaError, match="no chain 'number 1'"):
        ti.show(result, 1)
    with pytest.raises(EstimatorError, match="no estimator 'c'"):
        ti.show(result, "c", ["c"])
