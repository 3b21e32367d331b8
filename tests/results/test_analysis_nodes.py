"""What the nodes of analyses are called, and how they are found again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import xarray as xr

import tokimp as ti
from tokimp.analysis.agreement.within import AgreementWithin
from tokimp.analysis.deletion_orders import KEEP_RATIOS
from tokimp.analysis.faithfulness.faithfulness import Faithfulness
from tokimp.analysis.structure.structure import Structure
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.errors import SchemaError
from tokimp.results.analysis_nodes import analysis_node, node_name, stored_name
from tokimp.testing.toy_result import toy_result


class Noting(Analysis):
    """Notes what it was told."""

    name = "noting"

    def __init__(self, text: object = "", more: int = 0) -> None:
        self.text = text
        self.more = more

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return what it was told."""
        return xr.Dataset({"text": ("chain", [str(self.text)] * inputs.result.sizes["chain"])})


RESULT = toy_result({"a": [[1.0, 3, 2, 5, 4]], "b": [[2.0, 1, 3, 4, 5]]})
ODD = [
    "runs/a.nc",
    "runs-a.nc",
    "a,b",
    "a b",
    "x" * 300,
    "x" * 301,
    "3",
    3,
    "true",
    True,
    [0.5, 1],
    "ü",
    "u.",
    "..",
    "a:b",
]


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_every_setting_has_a_node_that_files_hold(tmp_path: Path, suffix: str) -> None:
    """Texts of any kind make names that differ, fit a file name, and are found again after saving and loading."""
    result = RESULT
    for value in ODD:
        result = ti.analyze(result, Noting(value))
    names = list(result["analysis"].children)
    assert len(set(map(str.casefold, names))) == len(ODD)
    assert all(len(name) <= 100 and not set(name) & set('/\\:*?"<>| ') and name[-1] != "." for name in names)
    ti.save(result, tmp_path / f"results{suffix}")
    loaded = ti.load(tmp_path / f"results{suffix}")
    assert loaded.identical(result)
    for value in ODD:
        assert analysis_node(loaded, stored_name(loaded, Noting(value)))["text"].item() == str(value)


def test_the_name_is_made_of_what_differs_from_the_defaults() -> None:
    """A default that is given is no difference, in whatever sequence it comes."""
    assert node_name(Faithfulness(keep_ratios=list(KEEP_RATIOS), n_uniform=5)) == "faithfulness"
    assert node_name(Structure(categorizer="rules", bands=2)) == "structure,categorizer=rules,bands=2"


def test_a_result_of_an_older_version_keeps_what_it_has() -> None:
    """A node of 0.1.0 has the plain name whatever its settings: it is found, and no other setting replaces it."""
    made = ti.analyze(RESULT, "agreement_within:by=position,bands=1,confidence=0.8")
    older = RESULT.copy()
    node = made["analysis/agreement_within,by=position,bands=1,confidence=0.8"].to_dataset()
    recorded = {name: value for name, value in json.loads(node.attrs["parameters"]).items() if name != "minimum_units"}
    recorded["n_resamples"] = 2000  # a parameter of older versions
    older["analysis/agreement_within"] = xr.DataTree(node.assign_attrs(parameters=json.dumps(recorded)))
    analysis = AgreementWithin(by="position", bands=1, confidence=0.8)
    assert stored_name(older, analysis) == stored_name(older, AgreementWithin()) == "agreement_within"
    assert analysis.tables(older)[0].row_count == 2
    both = ti.analyze(older, "agreement_within:by=position,bands=1")
    assert set(both["analysis"].children) == {
        "agreement_within,by=position,bands=1,confidence=0.8",
        "agreement_within,by=position,bands=1",
    }
    assert list(older["analysis"].children) == ["agreement_within"]
    with pytest.raises(SchemaError, match="no node /analysis/agreement_within; of the analysis"):
        analysis_node(both, "agreement_within")


def test_the_only_node_of_an_analysis_needs_no_settings() -> None:
    """The plain name stands for it; other settings than it has do not."""
    result = ti.analyze(RESULT, Noting("one", more=2))
    assert analysis_node(result, "noting")["text"].item() == "one"
    assert stored_name(result, Noting()) == "noting,text=one,more=2"
    with pytest.raises(SchemaError, match="it has noting,text=one,more=2"):
        stored_name(result, Noting("two"))


def test_a_misspelt_analysis_is_told_from_one_that_was_not_run() -> None:
    """A slip of the pen names the node that is there; a known analysis that is missing is said to be run first."""
    result = ti.analyze(RESULT, Noting())
    with pytest.raises(SchemaError, match=r"no analysis 'notng' \(did you mean 'noting', which it has\?\)"):
        analysis_node(result, "notng")
    with pytest.raises(SchemaError, match=r"has no noting_within yet; run tokimp\.analyze\(result, 'noting_within'\)"):
        analysis_node(result, "noting_within")
