"""What is said before a model's weights are read."""

from __future__ import annotations

from typing import Any

import pytest

import tokimp as ti
from tokimp.compare.before_loading import check_before_loading
from tokimp.errors import EstimatorError, ObjectiveError, TokimpError

CHAINS = [ti.Chain("c", "How many?", "She has 3+4=7 cups.", "#### 7")]
GIVEN: dict[str, Any] = {
    "model": "tiny",
    "backend": "transformer_lens",
    "objective": "joint",
    "unit": "token",
    "prompt_format": "auto",
}


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr("tokimp.models.loading._load_pretrained", load)


@pytest.mark.parametrize(
    ("estimators", "changed", "error", "reason"),
    [
        (["position"], {"objective": "contrast"}, ObjectiveError, "chain 'c'.*needs a wrong answer"),
        (["position", "position"], {}, EstimatorError, "more than once"),
        ([], {}, EstimatorError, "no estimator was given"),
        (["position"], {"unit": "verse"}, TokimpError, "verse"),
        (["position"], {"seed": -1}, TokimpError, "seed=-1"),
    ],
)
def test_what_needs_no_weights_is_checked_first(
    estimators: list[str], changed: dict[str, Any], error: type[TokimpError], reason: str
) -> None:
    """Methods, objective, units and chains are refused as they would be later, without the model."""
    with pytest.raises(error, match=reason):
        check_before_loading(CHAINS, estimators, **{**GIVEN, **changed})


def test_the_chains_are_known_before_the_model() -> None:
    """The tokens are those that the loaded model will get."""
    (chain,) = check_before_loading(CHAINS, ["position"], **GIVEN)
    assert "".join(chain.chain.reasoning[start:end] for start, end in chain.reasoning_offsets) == CHAINS[0].reasoning


def test_a_model_without_a_tokenizer_is_left_to_the_loader() -> None:
    """What cannot be read is no reason to stop here: who loads the model says what is wrong with it."""
    assert check_before_loading(CHAINS, ["position"], **{**GIVEN, "model": "no/such-folder/at-all"}) == []
