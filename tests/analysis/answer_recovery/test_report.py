"""Table of the answer recovery, read off their cells and artists."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

import numpy as np
import pytest
import xarray as xr
from rich.console import Console
from rich.table import Table

import tokimp as ti
from tokimp.analysis.answer_recovery.report import answer_recovery_table
from tokimp.errors import SchemaError
from tokimp.report.terminal import print_whole
from tokimp.testing.toy_result import toy_result


def printed(table: Table, width: int = 200) -> str:
    """Return a table as a terminal of a width shows it."""
    console = Console(file=StringIO(), width=width)
    print_whole(console, table)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def recovered(**references: Sequence[float]) -> xr.DataTree:
    """Return a result with an answer recovery: what one estimator recovers of each reference's chains, at one ratio."""
    values = np.array(list(references.values()), dtype=float)[:, None, None]
    known = ~np.isnan(values)
    parts = {name: (("reference", "estimator", "keep_ratio"), values.mean(-1)) for name in ("mean", "low", "high")}
    ends = {f"uniform_{name}": (("reference", "keep_ratio"), values.mean(-1)[:, 0]) for name in ("mean", "low", "high")}
    node = xr.Dataset(
        {
            "recovered": (("reference", "estimator", "keep_ratio", "chain"), values),
            "uniform_recovered": (("reference", "draw", "keep_ratio", "chain"), values),
            "chains_used": (("reference", "estimator", "keep_ratio"), known.sum(-1)),
            **parts,
            **ends,
        },
        coords={"reference": np.array(list(references), dtype=object), "estimator": ["a"], "keep_ratio": [0.5]},
        attrs={"confidence": 0.95},
    )
    return xr.DataTree.from_dict({"/": xr.Dataset(), "/analysis/answer_recovery": node})


def test_few_chains_have_no_intervals() -> None:
    """The foot of the table says that intervals are in the result only where there are at least five chains."""
    assert "intervals are" not in str(answer_recovery_table(recovered(chain=[1, 0])).caption)
    assert "intervals are" in str(answer_recovery_table(recovered(chain=[1, 0, 1, 0, 1])).caption)


def test_recovery_is_printed_by_keep_ratio() -> None:
    """The table has one column a ratio; a reference without any chain has nothing to coincide with."""
    scorer = ti.load_scorer("tiny")
    result = ti.compare(ti.demo_chains(limit=2), scorer, ["position"])
    dataset = result.to_dataset()
    dataset["gold"] = dataset["gold"].copy(data=np.array(["", ""], dtype=object))
    tree = ti.analyze(xr.DataTree(dataset), "answer_recovery", scorer=scorer, keep_ratios=[0.0, 1.0], n_uniform=1)
    text = printed(answer_recovery_table(tree))
    assert next(part for part in text.splitlines() if "position" in part).split()[-1] == "1.00"
    assert len(ti.load_analysis("answer_recovery").tables(tree)) == 1
    assert "the same numbers hold for the model's own unpruned;" in " ".join(text.split())
    assert "the same" not in str(answer_recovery_table(tree, "gold").caption)


def test_references_that_coincide_are_printed_once() -> None:
    """What is the same chain by chain stands once with all its names; equal means alone are no coincidence."""
    analysis = ti.load_analysis("answer_recovery")
    tree = recovered(chain=[1, 0], unpruned=[1, 0], gold=[1, 0])
    (table,) = analysis.tables(tree)
    assert "the same numbers hold for the model's own unpruned and the right answer" in str(table.caption)
    tree = recovered(chain=[1, 0], unpruned=[0, 1], gold=[0, 1])
    first, second = analysis.tables(tree)
    assert "the same" not in str(first.caption)
    assert "share of chains that give the right answer" in str(second.title)
    assert "the same numbers hold for the model's own unpruned;" in str(second.caption)


def test_an_estimator_that_stopped_early_is_named_where_it_has_dashes() -> None:
    """The foot says which one did not delete so far, and of the others nothing."""
    node = recovered(chain=[1, 0])["analysis/answer_recovery"].to_dataset()
    further = node.assign_coords(keep_ratio=[0.2]).map(lambda values: values.astype(float))
    further["recovered"] = further["recovered"] * np.nan
    both = xr.concat([further, node], "keep_ratio", data_vars="minimal")
    tree = xr.DataTree.from_dict({"/": xr.Dataset(), "/analysis/answer_recovery": both})
    assert "a dash: a did not delete down to that keep ratio" in str(answer_recovery_table(tree).caption)
    assert "a dash" not in str(answer_recovery_table(recovered(chain=[1, 0])).caption)


def test_what_has_not_been_analysed_is_refused() -> None:
    """The error says which analysis to run."""
    with pytest.raises(SchemaError, match=r"run tokimp\.analyze"):
        answer_recovery_table(toy_result({"a": [[1.0, 2.0]]}))
