"""Importances below a threshold tie in every analysis beside random orders and position."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import tokimp as ti
from tests.analysis.test_kept_chains import Dying, run
from tokimp.analysis.against_chance.analysis import AgainstChance
from tokimp.analysis.recorded_run import rebuild_chains, recorded_objective
from tokimp.contracts.analysis import AnalysisInput, Scoring
from tokimp.contracts.registry import load, plugins
from tokimp.errors import SchemaError
from tokimp.results.ties import tie, tied_shares

SETTINGS: dict[str, dict[str, Any]] = {
    "naopc": {"operators": ["delete"], "exact_units": 3, "beam": 1},
    "cpr_cmd": {"operators": ["delete"]},
    "magnitude": {"operators": ["delete"]},
    "log_odds": {"operators": ["delete"]},
}


def node(result: xr.DataTree, name: str, **options: Any) -> xr.Dataset:
    """Return what an analysis computes of a result."""
    scorer = Dying()
    scoring = Scoring(scorer, tuple(rebuild_chains(result, scorer.tokenizer)), recorded_objective(result))
    analysis = ti.load_analysis(name, n_uniform=1, **SETTINGS[name], **options)
    return analysis.compute(AnalysisInput(result, scoring))


def loosened() -> tuple[xr.DataTree, str, float]:
    """Return a result, one of its estimators, and a threshold at which half of its units tie at 0."""
    result = run()
    label = str(result["estimator"].to_numpy()[0])
    sizes = np.abs(result["importance"].sel(estimator=label).to_numpy())
    return result, label, float(np.median(sizes)) * 1.001


@pytest.mark.parametrize("name", SETTINGS)
def test_a_threshold_gives_the_numbers_of_the_result_that_is_tied_first(name: str) -> None:
    """The node is that of the tied result, and says which units tie; without a threshold it is another one."""
    result, label, threshold = loosened()
    tied = node(result, name, tie_threshold=threshold, tie_estimators=[label])
    expected = node(tie(result, threshold, [label]), name)
    xr.testing.assert_identical(tied.drop_attrs(), expected.drop_attrs())
    np.testing.assert_array_equal(tied["tied"], tied_shares(tie(result, threshold, [label])))
    assert float(tied["tied"].sel(estimator=label).max()) > 0
    assert tied.attrs["tie_threshold"] == threshold
    assert tied.attrs["tie_estimators"] == label


def test_the_table_says_which_share_of_units_ties() -> None:
    """The foot names threshold, estimator and share; without a threshold it says nothing of ties."""
    result, label, threshold = loosened()
    for ties, is_said in (({"tie_threshold": threshold, "tie_estimators": [label]}, True), ({}, False)):
        analysis = ti.load_analysis("log_odds", n_uniform=1, operators=["delete"], **ties)
        analyzed = ti.analyze(result, analysis, scorer=Dying(), same_model=False)
        caption = str(analysis.tables(analyzed)[0].caption)
        assert (f"by {label} tie; tied units: " in caption) == is_said, caption


def test_a_threshold_without_an_estimator_is_refused() -> None:
    """A result does not know which importances are in nats."""
    with pytest.raises(SchemaError, match="name with tie_estimators"):
        node(run(), "log_odds", tie_threshold=0.1)


def test_every_analysis_beside_chance_has_the_parameters() -> None:
    """No subclass forgets them."""
    listed = (plugin.name for plugin in plugins("analyses"))
    names = [name for name in listed if issubclass(load("analyses", name), AgainstChance)]
    assert len(names) == 6
    for name in names:
        assert {"tie_threshold", "tie_estimators"} <= ti.load_analysis(name).parameters().keys()
