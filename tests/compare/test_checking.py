"""What a comparison says of units and of thinking tags: in its warnings, its identity and its result."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

import tokimp as ti
from tests.chains.tokenizers import CHATML, DATED, byte_level
from tokimp.analysis.recorded_run import rebuild_chains
from tokimp.chains.chain import Chain
from tokimp.contracts.discovery import registered
from tokimp.contracts.registry import register_unit
from tokimp.contracts.unit_splitter import TextUnitSplitter
from tokimp.errors import AnalysisError, PluginError, ResumeError, TokimpWarning
from tokimp.testing import AdditiveScorer

CHAINS = [Chain("a", "2 + 5?", "So 2 + 5 = 7. Done.", "7"), Chain("b", "1?", "So 1", "1"), Chain("c", "?", "So 2", "2")]
TAGS = ("<a>\n", "\n</a>")


class TemplateScorer(AdditiveScorer):
    """The closed-form model behind a tokenizer with a chat template."""

    def __init__(self, template: str = CHATML) -> None:
        super().__init__({str(digit): 0.25 * digit for digit in range(10)}, default=0.1)
        self.tokenizer = byte_level(template=template)


def test_chains_of_one_unit_are_warned_of_once() -> None:
    """One warning says how many chains fall into one unit, names some, and says what to do."""
    with pytest.warns(
        TokimpWarning, match=r"2 of 3 chains have one sentence only \('b', 'c'\).*a smaller unit"
    ) as told:
        ti.compare(CHAINS, TemplateScorer(), ["position"], unit="sentence")
    assert len([warning for warning in told if warning.category is TokimpWarning]) == 1


def test_divided_chains_are_not_warned_of() -> None:
    """Where every chain has several units, nothing is said."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", TokimpWarning)
        ti.compare(CHAINS[:1], TemplateScorer(), ["position"], unit="sentence")


def test_think_tags_are_part_of_a_run_and_its_result(tmp_path: Path) -> None:
    """Given tags reach the chains, the run's identity and the result, and the chains can be made again from it."""
    scorer = TemplateScorer()
    result = ti.compare(CHAINS, scorer, ["position"], think_tags=TAGS, out=tmp_path)
    assert (result.attrs["prompt_format"], json.loads(result.attrs["think_tags"])) == ("think", list(TAGS))
    original = [ti.tokenize_chain(chain, scorer.tokenizer, think_tags=TAGS) for chain in CHAINS]
    assert [chain.input_ids for chain in rebuild_chains(result, scorer.tokenizer)] == [c.input_ids for c in original]
    with pytest.raises(ResumeError, match=r"think_tags.*before .*<a>"):
        ti.compare(CHAINS, scorer, ["position"], out=tmp_path)
    result.attrs["think_tags"] = "[3"
    with pytest.raises(AnalysisError, match="'think_tags' is '\\[3'; a JSON list of two texts was expected"):
        rebuild_chains(result, scorer.tokenizer)


def test_the_date_of_the_template_is_stored() -> None:
    """A result says on which day the templates of its prompts were rendered; without a template there is none."""
    dated = ti.compare(CHAINS, TemplateScorer(DATED), ["position"])
    assert dated.attrs["template_date"] == "2024-07-26"
    assert "template_date" not in ti.compare(CHAINS, TemplateScorer(), ["position"], prompt_format="plain").attrs


def test_a_unit_with_parameters_is_stored(tmp_path: Path) -> None:
    """The label with its parameters and the splitter's version stand in the result, and another unit is another run."""
    scorer = TemplateScorer()
    result = ti.compare(CHAINS[:1], scorer, ["position"], unit="sentence:language=de", out=tmp_path)
    assert result.attrs["unit"] == "sentence:language=de"
    splitter = json.loads(result.attrs["unit_splitter"])
    assert (splitter["name"], splitter["version"], splitter["parameters"]) == ("sentence", 2, {"language": "de"})
    with pytest.raises(ResumeError, match=r'unit: before "sentence:language=de", now "sentence"'):
        ti.compare(CHAINS[:1], scorer, ["position"], unit="sentence", out=tmp_path)


def test_a_result_opens_without_the_unit_it_was_made_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units are taken from the result, so that a stranger's splitter need not be installed to analyse it."""
    monkeypatch.setitem(registered, "units", {})

    @register_unit("halves")
    class Halves(TextUnitSplitter):
        name = "halves"

        def starts(self, text: str) -> list[int]:
            return [0, len(text) // 2]

    scorer = TemplateScorer()
    result = ti.compare(CHAINS, scorer, ["position"], unit="halves")
    del registered["units"]["halves"]
    with pytest.raises(PluginError, match="no unit named 'halves'"):
        ti.load_unit("halves")
    made = rebuild_chains(result, scorer.tokenizer)
    assert [len(chain.units) for chain in made] == [2, 2, 2]
    assert made[0].unit == "halves"
