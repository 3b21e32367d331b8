"""A stranger's package joins by name, and the page that tells how to write one can be followed to the letter."""

from __future__ import annotations

import doctest
import importlib
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tokimp as ti
from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts import discovery, registry
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.objective import Answer, Joint
from tokimp.contracts.scorer import Scorer
from tokimp.testing import AdditiveScorer, toy_chain
from tokimp.testing.random_models import byte_tokenizer, random_model

pytestmark = pytest.mark.slow  # a package is built and installed, and the page is run whole

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "examples" / "external_plugin"
PAGE = ROOT / "docs" / "write-a-plugin.md"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# Their folders are looked for: on Python 3.11, looking for the module "pip" makes a later import of setuptools fail,
# which torch.compile needs.
needs_builder = pytest.mark.skipif(
    any(PathFinder.find_spec(name) is None for name in ("pip", "hatchling")),
    reason="pip or hatchling is not installed, and a package cannot be built without them",
)


@dataclass(frozen=True)
class Block:
    """A fenced block of the page: its language, the file it is said to be, its text and its line."""

    language: str
    title: str
    text: str
    line: int


def blocks() -> list[Block]:
    """Return the page's fenced blocks in order."""
    page = PAGE.read_text(encoding="utf-8")
    return [
        Block(match[1], match[2] or "", match[3], page[: match.start()].count("\n") + 2)
        for match in re.finditer(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', page, re.DOTALL | re.MULTILINE)
    ]


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block and the output it is said to have."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


@dataclass(frozen=True)
class Transcript:
    """What the page's commands did: their folder, where the package went, and what each printed and should have."""

    folder: Path
    installed: Path
    outputs: dict[str, tuple[str, str]]


@pytest.fixture(scope="module")
def transcript(tmp_path_factory: pytest.TempPathFactory) -> Transcript:
    """Run the page's commands in order, in a copy of the package, with ``pip install`` aimed at a new folder."""
    folder = tmp_path_factory.mktemp("stranger") / PACKAGE.name
    installed = tmp_path_factory.mktemp("site")
    unwanted = shutil.ignore_patterns("__pycache__", ".*")
    shutil.copytree(PACKAGE, folder, ignore=unwanted)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(installed), os.environ.get("PYTHONPATH")])),
        "COLUMNS": "240",
        "HF_HUB_OFFLINE": "1",
        # pip reads its options from here too. The odd 0 says "no isolation", so that nothing is fetched to build with.
        "PIP_TARGET": str(installed),
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    outputs = {}
    for block in blocks():
        for command, expected in commands(block) if block.language == "console" else ():
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=folder,
                env=environment,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=300,
            )
            outputs[command] = (done.stdout + f"(exit status {done.returncode})\n" * (done.returncode != 0), expected)
    return Transcript(folder, installed, outputs)


@pytest.fixture(scope="module")
def estimator_class(transcript: Transcript) -> Iterator[type[ImportanceEstimator]]:
    """Make the installed package importable in this process, entry point and all, for as long as this module runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(transcript.installed))
        patch.setattr(discovery, "registered", {kind: {} for kind in registry.KINDS})
        yield importlib.import_module("tokimp_information_gain").InformationGain
    sys.modules.pop("tokimp_information_gain", None)


# -- the package -------------------------------------------------------------------------------------------------------
@needs_builder
def test_listed(transcript: Transcript) -> None:
    """Once installed, ``tokimp plugins`` lists the estimator with its package and what it requires."""
    output, _ = transcript.outputs["tokimp plugins"]
    (row,) = [line for line in output.splitlines() if "information_gain" in line]
    assert row.split()[:4] == ["estimator", "information_gain", "tokimp-information-gain", "deletions"]


@needs_builder
def test_compared_by_name(transcript: Transcript) -> None:
    """``tokimp compare --estimator`` takes it by name, and the result holds its importances, ranks and diagnostic."""
    result = ti.load(transcript.folder / "runs" / "by-name" / "results.nc")
    labels = ["leave_one_out", "information_gain", "information_gain:direction=backward"]
    root = result.to_dataset()
    assert root["estimator"].values.tolist() == labels
    assert root.sizes["chain"] == 2
    for label in labels[1:]:
        found = root.sel(estimator=label)
        assert np.isfinite(found["importance"]).all()
        for index in range(2):
            mine = (root["chain_index"] == index).values
            first_of_unit = np.unique(root["unit"].values[mine], return_index=True)[1]
            total = found["importance"].values[mine][first_of_unit].sum()
            assert found["diagnostic_total_gain"].values[index] == pytest.approx(total)
            assert sorted(found["rank"].values[mine][first_of_unit]) == list(range(len(first_of_unit)))


@needs_builder
def test_same_by_class(transcript: Transcript) -> None:
    """Named as module:Class without being installed, it is the same estimator under the same label."""
    by_class, by_name = (
        ti.load(transcript.folder / "runs" / run / "results.nc").to_dataset() for run in ("by-class", "by-name")
    )
    both = by_class.sel(estimator="information_gain:direction=both")["importance"]
    forward, backward = (by_name.sel(estimator=f"information_gain{end}") for end in ("", ":direction=backward"))
    # One computes both directions in one process, the other each by itself; both average in float64.
    np.testing.assert_allclose(both, (forward["importance"] + backward["importance"]) / 2, atol=1e-6)


# -- the estimator -----------------------------------------------------------------------------------------------------
class Synergy(AdditiveScorer):
    """The answer's log-likelihood is no sum: tokens help each other, and repetition helps less."""

    def answer_loglik(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return a function of the contributions in which every token's share depends on the others."""
        values = embeddings[:, 0]
        return self.answer_base + values.sum().tanh() + (values**2).sum().sqrt()


def gains_one_at_a_time(chain: TokenizedChain, scorer: Scorer, direction: str) -> FloatArray:
    """Return each unit's gain, the slow and obvious way: two chains a unit, each written out and scored alone."""

    def answer_loglik(units: list[int]) -> float:
        kept = sorted(position for unit in units for position in chain.units[unit])
        shortened = replace(
            chain,
            reasoning_ids=tuple(chain.reasoning_ids[position] for position in kept),
            reasoning_offsets=tuple(chain.reasoning_offsets[position] for position in kept),
            units=tuple((index,) for index in range(len(kept))),
        )
        return float(scorer.logprobs([shortened])[0].answer.sum(dtype=np.float64))

    every = list(range(len(chain.units)))
    gains = []
    for unit in every:
        before = every[:unit] if direction == "forward" else every[unit + 1 :]
        gains.append(answer_loglik([*before, unit]) - answer_loglik(before))
    return np.array(gains)


@needs_builder
@settings(max_examples=40, deadline=None)
@given(
    reasoning=st.text("ab1. ", min_size=1, max_size=14).filter(lambda text: bool(text.strip())),
    unit=st.sampled_from(["token", "word", "sentence"]),
    direction=st.sampled_from(["forward", "backward"]),
)
def test_slow_twin(estimator_class: type[ImportanceEstimator], reasoning: str, unit: str, direction: str) -> None:
    """On any text and unit, the gains are those of scoring every shortened chain by itself, and add up to the total."""
    scorer = Synergy({"a": 0.75, "b": -0.5, "1": 2.0})
    chain = toy_chain(reasoning, unit=unit)
    importance = estimator_class(direction=direction).estimate(chain, scorer, Joint())  # type: ignore[call-arg] # the plugin's own parameter
    np.testing.assert_allclose(importance.scores, gains_one_at_a_time(chain, scorer, direction), atol=1e-5)
    full = float(scorer.logprobs([chain])[0].answer.sum(dtype=np.float64))
    assert importance.diagnostics["total_gain"] == pytest.approx(full - scorer.answer_base, abs=1e-5)


@needs_builder
@pytest.mark.parametrize("unit", ["token", "word", "sentence"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_slow_twin_on_a_model(estimator_class: type[ImportanceEstimator], unit: str, direction: str) -> None:
    """On a real decoder, which shares keys and values between deletions, the gains are those of the slow way too."""
    scorer = ti.load_scorer(random_model("llama"), tokenizer=byte_tokenizer())
    text = ti.Chain("one", "12-5?", "12-5 is 7. So it is 7\u20ac.", "7")
    chain = ti.tokenize_chain(text, scorer.tokenizer, prompt_format="plain", unit=unit)
    importance = estimator_class(direction=direction).estimate(chain, scorer, Answer())  # type: ignore[call-arg]  # as above
    np.testing.assert_allclose(importance.scores, gains_one_at_a_time(chain, scorer, direction), atol=1e-4)


# -- the page ----------------------------------------------------------------------------------------------------------
def test_blocks_are_known() -> None:
    """Every fenced block of the page is of a kind that is checked below, so that none can rot unseen."""
    kinds = {(block.language, bool(block.title)) for block in blocks()}
    assert kinds == {
        ("python", True),
        ("toml", True),
        ("text", True),
        ("python", False),
        ("pycon", False),
        ("console", False),
    }
    assert PAGE.read_text(encoding="utf-8").count("```") == 2 * len(blocks())


@pytest.mark.parametrize("title", [block.title for block in blocks() if block.title and block.language != "text"])
def test_file_blocks(title: str) -> None:
    """A block with a file name is that file of the package, word for word."""
    (block,) = [block for block in blocks() if block.title == title]
    assert block.text == (PACKAGE / title).read_text(encoding="utf-8")


def test_file_list() -> None:
    """The page lists the files of the package, all of them."""
    (block,) = [block for block in blocks() if block.language == "text"]
    files = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*") if path.is_file()]
    shown = {path.as_posix() for path in files if "__pycache__" not in path.parts and path.parts[0][0] != "."}
    assert set(block.text.split()) == shown


@needs_builder
@pytest.mark.parametrize(
    "command", [command for b in blocks() if b.language == "console" for command, _ in commands(b)]
)
def test_console_blocks(transcript: Transcript, command: str) -> None:
    """Each command prints what the page shows (``...`` stands for anything)."""
    output, expected = transcript.outputs[command]
    assert doctest.OutputChecker().check_output(expected, output, FLAGS), f"$ {command}\n{output}"


@needs_builder
def test_python_blocks(
    estimator_class: type[ImportanceEstimator], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page's Python runs from top to bottom, and its prompts answer what the page shows."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"InformationGain": estimator_class}
    for block in blocks():
        if (block.language, block.title) == ("python", ""):
            script = tmp_path / f"line_{block.line}.py"
            script.write_text(block.text, encoding="utf-8")
            names.update(runpy.run_path(str(script), init_globals=names, run_name="notebook"))
        elif block.language == "pycon":
            session = doctest.DocTestParser().get_doctest(block.text, names, "write-a-plugin.md", None, block.line - 1)
            report: list[str] = []
            runner = doctest.DocTestRunner(optionflags=FLAGS)
            failed, _ = runner.run(session, out=report.append, clear_globs=False)
            assert not failed, "".join(report)
            names.update(session.globs)
