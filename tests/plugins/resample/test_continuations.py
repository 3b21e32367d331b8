"""Continuations are written once, survive a kill, and can be read as chains."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokimp_resample import Continuations, Pivotal, Resample, Sampling, write_continuations
from tokimp_resample.continuations import beginnings

from tests.plugins.resample.toy_writer import START, ToyWriter, chain_of
from tokimp.chains.datasets import load_chains
from tokimp.contracts.objective import Answer
from tokimp.errors import EstimatorError, UnsupportedError

CHAIN = chain_of("Ab. Cd. Ef.", id="one")
FOUR = Sampling(rollouts=4, seed=3)


def texts_of(beginning: str) -> dict[str, float]:
    """Return texts with an answer, without one, and with a line break."""
    return {f" go{len(beginning)}.\n#### 1": 0.4, " stop": 0.3, "#### 2": 0.2, " a\nb.\n#### 1\n": 0.1}


def files(folder: Path) -> list[Path]:
    """Return the files of continuations, those of chains first."""
    return [*folder.glob("*.jsonl"), *folder.glob("unanswered/*.jsonl")]


def test_beginnings_end_before_each_unit() -> None:
    """They are cut by position, also where the same text comes twice."""
    assert [len(positions) for positions in beginnings(CHAIN)] == [0, 3, 7, 11]
    assert [len(positions) for positions in beginnings(chain_of("Ab. Ab. Ab."))] == [0, 3, 7, 11]


def test_units_may_lie_in_each_other(tmp_path: Path) -> None:
    """A beginning that is not the first tokens is given as what is left of them, and has a name of its own."""
    rest = tuple(range(4, 11))
    chain = replace(CHAIN, units=((0, 2), (1, 3), rest))
    assert beginnings(chain) == [(), (0, 2), (0, 1, 2, 3), (0, 1, 2, 3, *rest)]
    writer = ToyWriter(lambda _: {" So.\n#### 1": 1.0})
    Pivotal(folder=str(tmp_path)).estimate(chain, writer, Answer())
    assert [beginning for beginning, _ in writer.asked] == ["", "A.", "Ab. ", "Ab. Cd. Ef."]
    (path,) = tmp_path.glob("*.jsonl")
    assert len({chain.id for chain in load_chains(path)}) == 4 * 20
    Pivotal(folder=str(tmp_path)).estimate(chain, writer, Answer())
    assert len(writer.asked) == 4


def test_each_beginning_is_asked_about_as_the_settings_say() -> None:
    """The prompt is question and beginning; the room is twice what the chain has left, and 16 more."""
    writer = ToyWriter(texts_of)
    texts = Continuations(writer, CHAIN, FOUR).after(beginnings(CHAIN))
    assert [len(after) for after in texts] == [4, 4, 4, 4]
    assert [beginning for beginning, _ in writer.asked] == ["", "Ab.", "Ab. Cd.", "Ab. Cd. Ef."]
    left = [11, 8, 4, 0]
    answer = len(CHAIN.answer_ids)
    assert [asked["max_new_tokens"] for _, asked in writer.asked] == [2 * (count + answer) + 16 for count in left]
    assert {(asked["n"], asked["temperature"], asked["top_p"]) for _, asked in writer.asked} == {(4, 0.6, 0.95)}
    assert len({asked["seed"] for _, asked in writer.asked}) == 4
    assert CHAIN.chain.question == START


def test_texts_do_not_depend_on_what_was_asked_before(tmp_path: Path) -> None:
    """Order, folder and other beginnings change nothing; seed and chain do."""
    asked = beginnings(CHAIN)
    texts = Continuations(ToyWriter(texts_of), CHAIN, FOUR).after(asked)
    assert Continuations(ToyWriter(texts_of), CHAIN, FOUR).after(asked[::-1]) == texts[::-1]
    assert Continuations(ToyWriter(texts_of), CHAIN, FOUR, tmp_path).after(asked[2:]) == texts[2:]
    other = Sampling(rollouts=4, seed=4)
    assert Continuations(ToyWriter(texts_of), CHAIN, other).after(asked) != texts
    renamed = chain_of("Ab. Cd. Ef.", id="two")
    assert Continuations(ToyWriter(texts_of), renamed, FOUR).after(asked) != texts


@pytest.mark.parametrize("kept", ["memory", "folder"])
def test_what_is_written_is_not_written_again(kept: str, tmp_path: Path) -> None:
    """Another object, another unit and the other estimator read the same texts, at no cost."""
    writer, folder = ToyWriter(texts_of), str(tmp_path / "kept") if kept == "folder" else None
    Resample(last_unit="answer", folder=folder).estimate(CHAIN, writer, Answer())
    assert len(writer.asked) == 4
    Pivotal(folder=folder).estimate(CHAIN, writer, Answer())
    Resample("counterfactual", "js", folder=folder).estimate(CHAIN, writer, Answer())
    assert len(writer.asked) == 4
    Pivotal(folder=folder).estimate(chain_of("Ab. Cd. Ef.", unit="word", id="one"), writer, Answer())
    assert len(writer.asked) == 4
    Pivotal(folder=folder, rollouts=21).estimate(CHAIN, writer, Answer())
    assert len(writer.asked) == 8


def test_another_model_writes_texts_of_its_own(tmp_path: Path) -> None:
    """Texts of a model with another fingerprint are not taken for one's own; both stay in the folder."""
    for _ in range(2):
        writer = ToyWriter(texts_of)  # each has a fingerprint of its own
        Continuations(writer, CHAIN, FOUR, tmp_path).after(beginnings(CHAIN))
        assert len(writer.asked) == 4
    assert len(list(tmp_path.glob("*.jsonl"))) == 2


def test_a_model_without_fingerprint_is_asked_each_time(tmp_path: Path) -> None:
    """In memory its texts are not kept, and a folder is refused."""
    writer = ToyWriter(texts_of)

    def unknown() -> str:
        raise UnsupportedError("this model cannot be told from another")

    writer.fingerprint = unknown  # type: ignore[method-assign] # as of a scorer that has none
    for count in (1, 2):
        Continuations(writer, CHAIN, FOUR).after([()])
        assert len(writer.asked) == count
    with pytest.raises(UnsupportedError, match="cannot be told"):
        Continuations(writer, CHAIN, FOUR, tmp_path)


def test_continuations_are_chains(tmp_path: Path) -> None:
    """The file is read by `load_chains`; what has no answer or no reasoning lies beside it, and nothing is lost."""
    texts = Continuations(ToyWriter(texts_of), CHAIN, Sampling(rollouts=30), tmp_path).after(beginnings(CHAIN))
    (path,) = tmp_path.glob("one-*.jsonl")
    chains = load_chains(path)
    (beside,) = tmp_path.glob("unanswered/*.jsonl")
    records = [json.loads(line) for line in (path.read_text() + beside.read_text()).splitlines()]
    written = Counter(record["written"] for record in records)
    assert written == Counter(text for after in texts for text in after)
    assert {chain.gold for chain in chains} == {"1"}
    assert {chain.question for chain in chains} == {START}
    # An id ends with what tells the file from others, so that files can be joined.
    of = {chain.id.rpartition("-")[0]: chain for chain in chains}
    for place, (positions, after) in enumerate(zip(beginnings(CHAIN), texts, strict=True)):
        beginning = CHAIN.chain.reasoning[: len(positions)]
        for rollout, text in enumerate(after):
            chain = of.get(f"one@{len(positions)}.{rollout}")
            if "####" not in text or (not place and text == "#### 2"):
                assert chain is None
            elif text == "#### 2":
                assert chain is not None
                assert (chain.reasoning, chain.answer) == (beginning, "#### 2")
            else:
                assert chain is not None
                assert chain.reasoning == beginning + text.partition("####")[0].rstrip()
                assert chain.answer == "#### 1"


class KilledError(Exception):
    """Stands for a kill."""


def test_a_run_that_is_killed_goes_on(tmp_path: Path) -> None:
    """What was written before a kill is kept, and the whole is what an undisturbed run writes."""
    whole = Continuations(ToyWriter(texts_of), CHAIN, FOUR).after(beginnings(CHAIN))

    class Mortal(ToyWriter):
        def generate(self, prompts: Sequence[Sequence[int]], **options: Any) -> list[list[str]]:
            if len(self.asked) == 2:
                raise KilledError
            return super().generate(prompts, **options)

        def fingerprint(self) -> str:
            return "mortal"

    with pytest.raises(KilledError):
        Continuations(Mortal(texts_of), CHAIN, FOUR, tmp_path).after(beginnings(CHAIN))
    writer = Mortal(texts_of)
    assert Continuations(writer, CHAIN, FOUR, tmp_path).after(beginnings(CHAIN)) == whole
    assert len(writer.asked) == 2


@pytest.mark.parametrize("place", range(0, 400, 7))
def test_damage_is_mended(place: int, tmp_path: Path) -> None:
    """A file that is cut off, or has one byte changed, gives the same texts again, and is whole afterwards."""
    writer = ToyWriter(texts_of)
    whole = Continuations(writer, CHAIN, FOUR, tmp_path).after(beginnings(CHAIN))
    before = {path: sorted(path.read_bytes().splitlines()) for path in files(tmp_path)}
    for path in files(tmp_path):
        content = bytearray(path.read_bytes())
        if place % 2:
            del content[-1 - place % len(content) :]
        else:
            content[place * 5 % len(content)] ^= 1
        path.write_bytes(bytes(content))
    assert Continuations(writer, CHAIN, FOUR, tmp_path).after(beginnings(CHAIN)) == whole
    assert {path: sorted(path.read_bytes().splitlines()) for path in files(tmp_path)} == before


def test_an_engine_writes_for_a_scorer(tmp_path: Path) -> None:
    """Texts that another engine wrote with the same model are read by estimators, which ask for nothing."""
    engine, scorer = ToyWriter(texts_of), ToyWriter(texts_of)
    assert write_continuations([CHAIN], engine, tmp_path, scorer=scorer) == 4 * 20
    Pivotal(folder=str(tmp_path)).estimate(CHAIN, scorer, Answer())
    Resample(folder=str(tmp_path)).estimate(CHAIN, scorer, Answer())
    assert not scorer.asked


def test_an_engine_with_another_tokenizer_is_refused(tmp_path: Path) -> None:
    """Ids that mean another text cannot be continued."""

    class Shifted:
        def decode(self, ids: Sequence[int]) -> str:
            return "".join(chr(number + 1) for number in ids)

    engine = ToyWriter(texts_of)
    engine.tokenizer = Shifted()
    with pytest.raises(EstimatorError, match=r"chain 'one': .* use one model for both"):
        write_continuations([CHAIN], engine, tmp_path, scorer=ToyWriter(texts_of))


def test_a_thinking_model_closes_its_thinking(tmp_path: Path) -> None:
    """The closing tag that a model writes before its answer is no part of the chain that is read."""
    writer = ToyWriter(lambda _: {" So 3.\n</think>\n\n#### 3": 1.0})
    Continuations(writer, CHAIN, FOUR, tmp_path).after([(0, 1, 2)])
    (path,) = tmp_path.glob("one-*.jsonl")
    assert {(chain.reasoning, chain.answer) for chain in load_chains(path)} == {("Ab. So 3.", "#### 3")}
