"""What the estimator promises, on a scorer whose truth is known: no model, no download, no time."""

import numpy as np
import pytest
import torch
from tokimp_information_gain import InformationGain

from tokimp.contracts.objective import Joint
from tokimp.errors import EstimatorError
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain


class MostTelling(AdditiveScorer):
    """The answer is as likely as the most telling of the tokens still there makes it."""

    def answer_loglik(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return the highest contribution, 0 without tokens."""
        return torch.cat([embeddings[:, 0], torch.zeros(1)]).max()


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
@pytest.mark.parametrize("of", ["answer", "objective"])
def test_contract(direction: str, of: str) -> None:
    """The estimator keeps every promise that tokimp asks of one."""
    check_estimator(InformationGain(direction=direction, of=of))


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
def test_additive_truth(direction: str) -> None:
    """Where every token adds its own share, the gain is that share from either side."""
    scorer = AdditiveScorer({"a": 0.5, "b": -0.25, "c": 2.0})
    importance = InformationGain(direction).estimate(toy_chain("abc"), scorer, Joint())
    np.testing.assert_allclose(importance.scores, [0.5, -0.25, 2.0])
    np.testing.assert_allclose(importance.diagnostics["total_gain"], 2.25)


@pytest.mark.parametrize(
    ("direction", "gains"),
    [("forward", [4.0, 0.0, 0.0]), ("backward", [0.0, 0.0, 4.0]), ("both", [2.0, 0.0, 2.0])],
)
def test_repetition(direction: str, gains: list[float]) -> None:
    """What is said twice is credited to its first mention, to its last, or half to each."""
    importance = InformationGain(direction).estimate(toy_chain("4=4"), MostTelling({"4": 4.0}), Joint())
    np.testing.assert_allclose(importance.scores, gains)


def test_objective() -> None:
    """Asked for the objective's gain, with the joint one, each token also pays for its own surprisal."""
    scorer = AdditiveScorer({"a": 0.5}, reasoning_logprob=-2.0)
    importance = InformationGain(of="objective").estimate(toy_chain("ab"), scorer, Joint())
    np.testing.assert_allclose(importance.scores, [-1.5, -2.0])


@pytest.mark.parametrize("parameters", [{"direction": "sideways"}, {"of": "question"}])
def test_parameters(parameters: dict[str, str]) -> None:
    """A value that is not allowed is refused by name before any work starts."""
    (parameter,) = parameters
    with pytest.raises(EstimatorError, match=f"information_gain: {parameter}='.*' is not allowed; give"):
        InformationGain(**parameters).validate_parameters()
