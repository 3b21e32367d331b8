"""An audit of a real model, small: what ignores the model is found out, and nothing is computed twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.text import Text

import tokimp as ti
from tests.report.plot.overlaps import overlapping
from tokimp.audit.audit import audit
from tokimp.audit.figure import draw_card
from tokimp.audit.page import card_markdown, card_tables
from tokimp.audit.settings import AuditSettings
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Scorer
from tokimp.errors import ResumeError

SETTINGS = AuditSettings(
    backend="nnsight",
    limit=5,
    changed_chains=5,
    cuts=2,
    seeds=1,
    unit="sentence",
    metrics=("faithfulness:n_uniform=2",),
)


class Unexpected(ti.ImportanceEstimator):
    """A stranger's estimator, which fails on one chain."""

    name = "unexpected"

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> ti.Importance:
        """Return each unit's surprisal, nats."""
        if chain.id == "planted-004":
            raise ValueError("no such chain")
        return ti.Importance(ti.sum_over_units(chain, -scorer.logprobs([chain])[0].reasoning))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an audit."""
    return tmp_path_factory.mktemp("audits") / "one"


@pytest.fixture(scope="module")
def done(folder: Path) -> ti.Audit:
    """An audit of a stranger's estimator; the controls are added."""
    return audit([Unexpected()], settings=SETTINGS, out=folder)


def entry_of(card: dict[str, Any], label: str) -> dict[str, Any]:
    """Return what a card says of an estimator."""
    return next(entry for entry in card["estimators"] if entry["label"] == label)


def verdicts(card: dict[str, Any], label: str) -> dict[str, str]:
    """Return the verdict on each part of the audit."""
    return {sentence["about"]: sentence["verdict"] for sentence in entry_of(card, label)["sentences"]}


def test_what_ignores_the_model_is_found_out(done: ti.Audit) -> None:
    """Position and uniform are blind to weights and answer; only uniform depends on its seed."""
    for control in ("position", "uniform"):
        said = verdicts(done.card, control)
        assert said["weights"] == "blind to the weights"
        assert said["answer"] == "blind to the answer"
    assert verdicts(done.card, "position")["stability"] == "stable"
    seed = entry_of(done.card, "uniform")["stability"][0]
    assert seed["condition"] == "seed 1"
    assert seed["spearman"]["mean"] < 0.9


def test_what_reads_the_model_and_not_the_answer_is_told_so(done: ti.Audit) -> None:
    """Surprisal is another with random weights, and comes before the answer."""
    said = verdicts(done.card, "unexpected")
    assert said["weights"] != "blind to the weights"
    assert said["answer"] == "blind to the answer"


def test_position_is_not_told_from_itself(done: ti.Audit) -> None:
    """The control differs by nothing from the control."""
    for score in entry_of(done.card, "position")["faithfulness"]:
        assert score["above_position"]["mean"] == 0
        assert score["above_position"]["p"] is None


def test_a_cell_that_fails_is_left_out_and_counted(done: ti.Audit) -> None:
    """The stranger's estimator fails on one chain, which no part hides."""
    entry = entry_of(done.card, "unexpected")
    assert entry["chains_failed"] == 1
    assert all(score["undefined"] == 1 for score in entry["faithfulness"])
    weights = entry["sanity"][-2]
    assert weights["condition"] == "weights: all"
    assert (weights["spearman"]["chains"], weights["spearman"]["undefined"]) == (4, 1)


def test_the_card_is_json_and_the_page_shows_every_estimator(done: ti.Audit) -> None:
    """Tables, Markdown and figure are written from the card, as it is read back."""
    card = json.loads(json.dumps(done.card, allow_nan=False))
    page = card_markdown(card, "card.png")
    labels = ["unexpected", "uniform", "position"]
    assert [entry["label"] for entry in card["estimators"]] == labels
    assert all(f"## {label}" in page for label in labels)
    assert "On 1 chains it failed" in page
    assert all(list(table.columns[0].cells) == labels for table in card_tables(card))
    figure = draw_card(card)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == labels
    assert any("by planted text" in text.get_text() for text in figure.findobj(Text))


def test_many_scores_have_a_matrix_below_the_panels(done: ti.Audit) -> None:
    """With more scores than marks have room for, headings and legends stay where they are and all names are shown."""
    card = json.loads(json.dumps(done.card, allow_nan=False))
    for entry in card["estimators"]:
        entry["faithfulness"] = [{**entry["faithfulness"][0], "score": f"score {number}"} for number in range(28)]
    figure = draw_card(card)
    figure.draw_without_rendering()
    *panels, matrix = figure.axes
    assert [text.get_text() for text in matrix.get_yticklabels()] == [f"score {number}" for number in range(28)]
    (heading,) = figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_text().startswith("Audit of"))
    extents = [axis.get_tightbbox() for axis in figure.axes]
    assert all(extent is not None and extent.y1 <= heading.get_window_extent().y0 for extent in extents)
    lowest_panel = min(extent.y0 for extent in extents[:-1] if extent is not None)
    assert extents[-1] is not None
    assert extents[-1].y1 < lowest_panel
    assert len(panels) == 4


@pytest.mark.parametrize("count", [4, 10, 14])
def test_long_labels_below_the_matrix_do_not_lie_on_each_other(done: ti.Audit, count: int) -> None:
    """Labels that differ at their ends alone are all shown, and different, whether they stand upright or lie."""
    card = json.loads(json.dumps(done.card, allow_nan=False))
    entry = card["estimators"][0]
    entry["faithfulness"] = [{**entry["faithfulness"][0], "score": f"score {number}"} for number in range(9)]
    card["estimators"] = [{**entry, "label": f"attention:weights=own,layer={layer}"} for layer in range(count)]
    figure = draw_card(card)
    below = [label for label in figure.axes[-1].get_xticklabels() if label.get_text()]
    assert len({label.get_text() for label in below}) == count
    figure.draw_without_rendering()
    assert overlapping(below) == []


@pytest.mark.slow
def test_the_same_audit_again_asks_no_estimator(done: ti.Audit, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finished runs are read; a run in which a cell failed tries that cell alone."""
    asked: list[str] = []

    def estimate(self: Unexpected, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> ti.Importance:
        asked.append(chain.id)
        raise ValueError("still not")

    monkeypatch.setattr(Unexpected, "estimate", estimate)
    again = audit([Unexpected()], settings=SETTINGS, out=folder)
    assert set(asked) == {"planted-004"}
    for row, entry in enumerate(again.card["estimators"]):
        first = done.card["estimators"][row]
        assert all(entry[part] == first[part] for part in ("faithfulness", "sanity", "stability", "planted"))


def test_a_folder_holds_one_audit(done: ti.Audit, folder: Path) -> None:
    """Another unit is another audit; more chains, cuts or seeds are the same one, grown."""
    with pytest.raises(ResumeError, match="holds an audit with unit 'sentence', not 'word'"):
        audit([Unexpected()], settings=AuditSettings(backend="nnsight", unit="word"), out=folder)


def test_chains_of_ones_own_need_no_planted_text(tmp_path: Path) -> None:
    """What cannot be done with them is named, and the rest is done."""
    chains: Sequence[ti.Chain] = [
        ti.Chain(f"c{number}", "What is 2+3?", f"Take {number}. Add 3. So 5 it is.", f"#### {number}")
        for number in range(3)
    ]
    card = audit(["position"], chains=chains, settings=SETTINGS, out=tmp_path / "own").card
    assert set(card["not_computed"]) == {"planted", "paraphrase"}
    assert card["chains"] == 3
    numbers = entry_of(card, "position")["cost"]
    assert numbers["positions"] == 0
    assert np.isfinite(numbers["seconds"])


@pytest.mark.slow
def test_a_model_that_is_spread_is_audited_without_random_weights(tmp_path: Path) -> None:
    """Only whole weights can be made random, so that part is left out with its reason, and the rest is computed."""
    few = replace(SETTINGS, limit=2, changed_chains=1, seeds=0)
    whole = ("model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head")
    on_disk = {**dict.fromkeys(whole, "cpu"), "model.layers": "disk"}
    done = audit(["position"], settings=few, device_map=on_disk, offload_folder=tmp_path / "offloaded")
    assert "spread over devices, and only whole ones" in done.card["not_computed"]["weights"]
    assert json.loads(done.card["model"]["loading"])["device_map"] == on_disk
    (position, *_) = done.card["estimators"]
    assert [condition["condition"] for condition in position["stability"]][:1] == ["bfloat16"]


@pytest.mark.slow
def test_workers_find_what_one_process_finds(tmp_path: Path) -> None:
    """Everything but when and how long is the same on two workers, which analyses ask too."""
    cards = []
    for executor in ("local", "processes:workers=2"):
        folder = tmp_path / executor[:5]
        card = audit(["surprisal"], settings=SETTINGS, out=folder, executor=executor).card
        del card["versions"]["created"]
        for entry in card["estimators"]:
            del entry["cost"]
            entry["sentences"] = [said for said in entry["sentences"] if said["about"] != "cost"]
        cards.append(card)
    assert cards[0] == cards[1]
