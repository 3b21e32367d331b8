"""The look of estimators: by name, the same in every run, and apart."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import tokimp
from tokimp.contracts.registry import plugins
from tokimp.report.estimator_looks import HUES, MARKERS, N_DASHES, look_of

STYLE_SHEET = Path(tokimp.__file__).parents[1] / "explorer" / "src" / "style.css"


def test_no_two_estimators_that_come_with_tokimp_look_the_same() -> None:
    """Every built-in estimator has a place of its own; the eight compared most often have a hue each."""
    names = sorted(plugin.name for plugin in plugins("estimators") if plugin.package == "tokimp")
    looks = [look_of(name) for name in names]
    alike = [name for name, look in zip(names, looks, strict=True) if looks.count(look) > 1]
    assert not alike, "add the newest to the list of names in tokimp/report/estimator_looks.py, at its end"
    often = ("greedy", "leave_one_out", "attention", "gradient", "surprisal", "context_cite", "position", "uniform")
    assert len({look_of(name).hue for name in often}) == len(often)


def test_parameters_change_dashes_and_marker_but_not_the_hue() -> None:
    """Two settings of one estimator are seen to belong together."""
    plain, stopped = look_of("greedy"), look_of("greedy:keep_ratio=0.7")
    assert plain.hue == stopped.hue
    assert (plain.dashes, plain.marker) != (stopped.dashes, stopped.marker)


def test_looks_are_those_of_earlier_versions() -> None:
    """A digest of text alone decides, so that figures of two machines or versions agree."""
    assert (look_of("greedy").colour, look_of("attention").colour) == ("#0072B2", "#009E73")
    assert look_of("somebody_elses_method") == look_of("somebody_elses_method")
    assert look_of("somebody_elses_method").hue == 3


@given(st.text())
def test_every_label_has_a_look(label: str) -> None:
    """Whatever a label holds, its look is one that there is."""
    look = look_of(label)
    assert look.colour in HUES
    assert look.marker in MARKERS
    assert 0 <= look.dashes < N_DASHES


def test_the_explorer_has_the_same_hues() -> None:
    """Its style sheet numbers as many hues; on a light page they are these, a little darker where text needs it."""
    sheet = STYLE_SHEET.read_text(encoding="utf-8")
    light = re.findall(r"--estimator-(\d): (#\w+);", sheet[: sheet.index("prefers-color-scheme: dark")])
    assert [int(number) for number, _ in light] == list(range(len(HUES)))
    same = [hue.lower() == colour for (_, colour), hue in zip(light, HUES, strict=True)]
    assert same.count(False) == 2  # orange and sky blue are too light for letters
