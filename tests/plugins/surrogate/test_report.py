"""Tables and figure of the surrogate analysis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from tokimp_surrogate.analysis import Surrogate
from tokimp_surrogate.features import KINDS
from tokimp_surrogate.figure import draw_drops
from tokimp_surrogate.report import group_table, surrogate_table

import tokimp as ti
from tests.plugins.surrogate.small_runs import LOO, QUICK, SHARES, chains, compared
from tokimp.testing.toy_scorer import AdditiveScorer


def test_tables_and_figure_show_every_target(tmp_path: Path) -> None:
    """Both can be made of any result that was analysed, after a round trip through a file; groups only if shuffled."""
    tokenized, scorer = chains(5), AdditiveScorer(SHARES)
    for permutations, tables in ((1, 2), (0, 1)):
        analysis = Surrogate(targets=[LOO, "rank:greedy"], **{**QUICK, "permutations": permutations})
        ti.save(ti.analyze(compared(tokenized, scorer), analysis, scorer=scorer, chains=tokenized), tmp_path / "r.nc")
        result = ti.load(tmp_path / "r.nc")
        shown = analysis.tables(result)
        assert len(shown) == tables
        assert shown[0].row_count == 12
        figure = analysis.figure(result)
        rows, *panels = figure.axes
        assert [label.get_text() for label in rows.get_yticklabels()] == [LOO, "rank:greedy"]
        titles = [panel.get_title(loc="left") for panel in panels[:2]]
        assert [title.replace("\n", "") for title in titles] == [LOO, "rank:greedy"]
        # All predictions are on one scale, whatever the unit of the target.
        assert len({panel.get_xlim() for panel in panels[:2]}) == 1
        assert len(panels) == 2 + permutations


def test_intervals_are_promised_where_they_are_shown(node: xr.Dataset) -> None:
    """Of nine chains the table's title says that there are intervals, of four it says nothing of any."""
    assert "95% intervals" in str(surrogate_table(with_node(node)).title)
    few = with_node(node.assign(chains_used=node["chains_used"] - 5))
    assert "interval" not in str(surrogate_table(few).title)


def test_the_table_warns_where_chains_are_few(node: xr.Dataset) -> None:
    """Nine chains are too few to learn much from, and the foot says so; twenty are not."""
    tree = with_node(node)
    assert "fewer than 20 chains are too few" in str(surrogate_table(tree).caption)
    assert "too few" not in str(surrogate_table(with_node(node.assign(chains_used=node["chains_used"] + 11))).caption)


def test_the_warning_names_the_targets_of_few_chains(node: xr.Dataset) -> None:
    """Where other targets have chains enough, only those that have too few are meant."""
    counts = node["chains_used"].copy(data=[9, 9, 30])
    caption = str(surrogate_table(with_node(node.assign(chains_used=counts))).caption)
    assert f"fewer than 20 chains, as of deleted:leave_one_out and {LOO}, are too few to learn much from" in caption
    assert "as of" not in str(surrogate_table(with_node(node)).caption)


def test_the_table_of_features_has_a_section_for_each_target(node: xr.Dataset) -> None:
    """However many targets there are, the losses of their groups of features stand below one another."""
    (table,) = group_table(with_node(node))
    assert [str(column.header) for column in table.columns] == ["target", "features", "all units", "within chains"]
    assert [cell for cell in table.columns[0].cells if cell] == node["target"].to_numpy().tolist()
    assert table.row_count == node.sizes["target"] * node.sizes["group"]
    assert "layers" not in str(table.caption)


def test_of_many_layers_the_most_telling_are_shown(node: xr.Dataset) -> None:
    """Of thirty layers each target has the ten with the greatest loss within chains, in order; the foot says so."""
    names = [*KINDS, *(f"layer {layer}" for layer in range(30))]
    deep = node.drop_dims("group").assign_attrs(layers=30)
    losses = np.random.default_rng(0).permuted(np.tile(np.arange(39.0), (3, 2, 1)), axis=-1)
    losses[0, 1, 9:12] = np.nan
    for end in ("", "_low", "_high"):
        deep[f"group_drop{end}"] = (("target", "scope", "group"), losses)
    tree = with_node(deep.assign_coords(group=np.array(names, dtype=object)))
    (table,) = group_table(tree)
    shown = list(table.columns[1].cells)
    for place, target in enumerate(losses[:, 1, 9:]):
        order = np.argsort(np.where(np.isnan(target), -np.inf, target))
        expected = [*KINDS, *(f"layer {layer}" for layer in sorted(order[-10:]))]
        assert shown[19 * place : 19 * place + 19] == expected
    assert "of 30 layers the 10 with the greatest loss" in str(table.caption)
    assert "the result holds all" in str(table.caption)
    axis = draw_drops(tree)
    drawn_names = {label.get_text() for label in axis.get_yticklabels()}
    assert drawn_names == set(shown)


def with_node(node: xr.Dataset) -> xr.DataTree:
    """Return a result that holds this node of the analysis."""
    root = xr.Dataset(attrs={"objective": "joint", "unit": "token", "model_id": "toy"})
    return xr.DataTree.from_dict({"/": root, "/analysis/surrogate": node})
