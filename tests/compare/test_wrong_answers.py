"""Wrong answers that a run draws: what they are, that they are stored, and that a run is continued with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tokimp.chains.chain import Chain
from tokimp.chains.datasets import demo_chains
from tokimp.chains.datasets.correctness import split_answer
from tokimp.compare.compare import compare
from tokimp.compare.wrong_answers import second_choice, with_wrong_option_or_number
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.errors import ObjectiveError, TokimpError, UnsupportedError
from tokimp.models.loading import load_scorer
from tokimp.testing import AdditiveScorer, toy_chain

OPTIONS = "What is 3 + 4?\nA. 6\nB. 7\nC. 8"


def drawn(way: str, answer: str, question: str = OPTIONS, gold: str | None = None, seed: int = 0) -> str:
    """Return the wrong answer drawn for a chain."""
    chain = with_wrong_option_or_number(Chain("a", question, "3 + 4", answer, gold=gold), way, seed)
    assert chain.wrong_answer is not None
    return chain.wrong_answer


def test_another_option_is_a_letter_of_the_question() -> None:
    """It is one of the question's letters, neither the answer's nor the right one; the rest of the answer stays."""
    assert {drawn("option", "The answer is (B). Done.", seed=seed) for seed in range(20)} == {
        "The answer is (A). Done.",
        "The answer is (C). Done.",
    }
    assert drawn("option", "The answer is (A).", gold="B") == "The answer is (C)."


@pytest.mark.parametrize(
    ("answer", "before", "after", "length"),
    [
        ("#### 18", "#### ", "", 2),
        ("#### 1,234", "#### ", "", 5),
        ("A: $-3.50", "A: $-", "", 4),
        (r"It is $\boxed{7}$.", r"It is $\boxed{", "}$.", 1),
        ('{"answer": "18"}', '{"answer": "', '"}', 2),
        ("18 apples", "", " apples", 2),
    ],
)
def test_another_number_is_written_like_the_answers(answer: str, before: str, after: str, length: int) -> None:
    """It has as many digits, the same sign, unit and separators, and is never the answer's own."""
    for seed in range(20):
        wrong = drawn("number", answer, seed=seed)
        assert wrong.startswith(before)
        assert wrong.endswith(after)
        number = wrong.removeprefix(before).removesuffix(after)
        assert len(number) == length
        assert wrong != answer
        assert [character in ",." for character in wrong] == [character in ",." for character in answer]


def test_the_right_number_is_not_drawn() -> None:
    """Of ten digits the answer's and the right one are left out."""
    assert {drawn("number", "#### 7", gold="8", seed=seed)[-1] for seed in range(200)} == set("01234569")


def test_it_depends_on_the_seed_and_the_chain() -> None:
    """The same seed draws the same, whatever else is in the run; a wrong answer of the chain's own stays."""
    assert drawn("number", "#### 18", seed=3) == drawn("number", "#### 18", seed=3)
    assert len({drawn("number", "#### 18", seed=seed) for seed in range(10)}) > 1
    own = Chain("a", "?", "So.", "#### 18", wrong_answer="#### 5")
    assert with_wrong_option_or_number(own, "number", 0) is own


@pytest.mark.parametrize(
    ("way", "answer", "message"),
    [
        ("number", "#### Tuesday", "no other number can be drawn, since the answer's value 'Tuesday' is none"),
        ("number", r"\boxed{\frac{1}{2}}", "no other number can be drawn"),
        ("option", "#### 18", "no other option can be drawn: the answer gives '18'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(way: str, answer: str, message: str) -> None:
    """A value of another kind is an error that names the chain and another way."""
    with pytest.raises(ObjectiveError, match=f"chain 'a': {message}.*\\(--wrong-answers\\)"):
        drawn(way, answer)


class Writing(AdditiveScorer):
    """It writes what the test says, and records how it was asked."""

    capabilities = frozenset(Capability)

    def __init__(self, *responses: Sequence[str]) -> None:
        super().__init__()
        self.responses, self.asked = list(responses), list[tuple[str, dict[str, Any]]]()

    def generate(self, prompts: Sequence[Sequence[int]], **options: Any) -> list[list[str]]:
        """Return the next responses."""
        self.asked.append(("".join(map(chr, prompts[0])), options))
        return [list(self.responses.pop(0))]


def test_the_second_choice_is_what_the_model_writes_most_beside_the_answer() -> None:
    """Its own value, the same value in another spelling, and what is no number do not count."""
    scorer = Writing(["18", "18.0", "21", "19", "21\nQ:", "many", "19 eggs", "18", "18"])
    assert second_choice(toy_chain("ab", answer="#### 18"), scorer, 0) == "#### 21"
    assert [prompt for prompt, _ in scorer.asked] == ["?ab#### "]


def test_a_sure_model_is_asked_before_it_reasons() -> None:
    """If it writes nothing else, it is asked at a higher temperature, then without the reasoning, and then given up."""
    chain = toy_chain("ab", id="x", answer="#### 18")
    scorer = Writing(["18"], ["18"], ["12"])
    assert second_choice(chain, scorer, 0) == "#### 12"
    assert [prompt for prompt, _ in scorer.asked] == ["?ab#### ", "?ab#### ", "?#### "]
    with pytest.raises(ObjectiveError, match="chain 'x': the model wrote no other value than '18'"):
        second_choice(chain, Writing(["18"], ["18"], ["18"], ["18"]), 0)


@pytest.fixture(scope="module")
def tiny() -> Scorer:
    """Return the embedded model."""
    return load_scorer("tiny", device="cpu")


@pytest.mark.parametrize("way", ["number", "model"])
def test_a_run_stores_what_it_drew_and_goes_on_with_it(
    way: str, tiny: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each chain of the result has a wrong answer, and a continued run has the same without asking the model again."""
    chains = demo_chains(limit=2)
    options: dict[str, Any] = {"objective": "contrast", "wrong_answers": way, "out": tmp_path}
    result = compare(chains, tiny, ["position", "leave_one_out"], **options)
    wrong = result["wrong_answer"].to_numpy().tolist()
    for chain, text in zip(chains, wrong, strict=True):
        assert split_answer(text).value.isdigit()
        assert split_answer(text).value != split_answer(chain.answer).value
    assert result.attrs["wrong_answers"] == way
    monkeypatch.setattr(type(tiny), "generate", None)
    again = compare(chains, tiny, ["position", "leave_one_out"], **options)
    assert again["wrong_answer"].to_numpy().tolist() == wrong
    np.testing.assert_array_equal(again["importance"].to_numpy(), result["importance"].to_numpy())


def test_a_chain_without_a_wrong_answer_is_told_how_to_get_one(tiny: Scorer) -> None:
    """Without drawing, contrast is refused with the option's name; unknown ways and silent models are refused too."""
    chains = demo_chains(limit=1)
    with pytest.raises(ObjectiveError, match="let the run draw one"):
        compare(chains, tiny, ["position"], objective="contrast")
    with pytest.raises(TokimpError, match="wrong_answers='guess' is not allowed; give one of option, number, model"):
        compare(chains, tiny, ["position"], objective="contrast", wrong_answers="guess")
    with pytest.raises(UnsupportedError, match="wrong_answers='model' lets the model write"):
        compare(chains, AdditiveScorer(), ["position"], wrong_answers="model")
