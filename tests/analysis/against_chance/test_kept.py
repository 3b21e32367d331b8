"""The metrics keep what they find out of each chain, so that a kill loses one chain at most."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import tokimp as ti
from tests.analysis.test_kept_chains import Dying, run

SETTINGS: dict[str, dict[str, Any]] = {
    "naopc": {"operators": ["delete"], "exact_units": 0, "beam": 1},
    "cpr_cmd": {"operators": ["delete"]},
    "magnitude": {"operators": ["delete"]},
    "log_odds": {"operators": ["delete"]},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_metric_that_was_stopped_asks_about_the_rest_only(name: str, tmp_path: Path) -> None:
    """Stopped at the fifth of five chains, four are kept, and the numbers are those of an unbroken one."""
    result = run()

    def node(scorer: Dying, folder: Path | None) -> xr.Dataset:
        options = {"n_uniform": 1, **SETTINGS[name]}
        analyzed = ti.analyze(result, name, scorer=scorer, folder=folder, same_model=False, **options)
        (found,) = analyzed["analysis"].children.values()
        return found.to_dataset()

    with pytest.raises(KeyboardInterrupt):
        node(Dying("c4"), tmp_path)
    scorer = Dying()
    continued, unbroken = node(scorer, tmp_path), node(Dying(), None)
    assert scorer.asked == ["c4"]
    xr.testing.assert_identical(continued.drop_attrs(), unbroken.drop_attrs())
    assert continued.attrs["tokens_forwarded"] == unbroken.attrs["tokens_forwarded"]
