"""Objectives: which log-probabilities each adds up, how precisely, and what it needs of a chain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tokimp.analysis.recorded_run import recorded_objective
from tokimp.chains.datasets import demo_chains
from tokimp.compare.compare import compare
from tokimp.contracts.constraints import Number
from tokimp.contracts.discovery import registered
from tokimp.contracts.objective import Answer, AnswerValue, Contrast, Joint, LogprobTensors, Objective, Reasoning, Span
from tokimp.contracts.registry import register_objective
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.errors import AnalysisError, ObjectiveError, SchemaError
from tokimp.models.loading import load_scorer
from tokimp.results.joining import concat
from tokimp.results.provenance import objective_identity
from tokimp.testing import AdditiveScorer, check_objective, toy_chain

LOGPROBS = LogprobTensors(
    reasoning=torch.tensor([[-1.0, -2.0], [-0.5, -0.25]]),
    answer=torch.tensor([[-4.0], [-8.0]]),
    wrong_answer=torch.tensor([[-16.0, -1.0, -1.0], [-32.0, -1.0, -1.0]]),
)
ALL = [Joint(), Answer(), Reasoning(), Contrast()]
EXPECTED = {"joint": [-7.0, -8.75], "answer": [-4.0, -8.0], "reasoning": [-3.0, -0.75], "contrast": [14.0, 26.0]}


@pytest.mark.parametrize("objective", ALL)
def test_each_adds_up_its_spans(objective: Objective) -> None:
    """Each gives one float64 number a version: the sum over the spans it reads, contrast the difference."""
    values = objective(LOGPROBS)
    assert values.tolist() == EXPECTED[objective.name]
    assert values.dtype == torch.float64


@pytest.mark.parametrize("objective", ALL)
def test_each_reads_only_the_spans_it_names(objective: Objective) -> None:
    """The gradient is 1 a token on what is added, -1 on what is taken off, and nothing elsewhere."""
    signs = {"joint": (1, 1, 0), "answer": (0, 1, 0), "reasoning": (1, 0, 0), "contrast": (0, 1, -1)}[objective.name]
    reasoning, answer, wrong_answer = (torch.zeros(1, 3, requires_grad=True) for _ in Span)
    value = objective(LogprobTensors(reasoning, answer, wrong_answer)).sum()
    gradients = torch.autograd.grad(value, [reasoning, answer, wrong_answer], allow_unused=True)
    for span, gradient, sign in zip(Span, gradients, signs, strict=True):
        assert (span in objective.spans) == (sign != 0)
        assert (gradient is None and sign == 0) or (gradient is not None and gradient.tolist() == [[sign] * 3])


@given(st.lists(st.floats(-1e4, 0, width=32), min_size=1, max_size=50))
def test_sums_are_in_double_precision(logprobs: list[float]) -> None:
    """The sum of float32 log-probabilities is that of the same numbers in float64."""
    tensors = LogprobTensors(torch.tensor([logprobs]), torch.tensor([[0.0]]))
    assert Joint()(tensors).item() == pytest.approx(sum(logprobs), rel=1e-12)


def test_a_small_change_in_a_long_sum_is_seen() -> None:
    """A difference that float32 would lose beside a large sum is kept."""
    tensors = LogprobTensors(torch.tensor([[-30000.0, 0.0], [-30000.0, -1e-4]]), torch.zeros(2, 1))
    first, second = Joint()(tensors).tolist()
    assert first - second == pytest.approx(1e-4, rel=1e-5)


@pytest.mark.parametrize("objective", [Joint(), Reasoning()])
def test_no_reasoning_left_counts_nothing(objective: Objective) -> None:
    """When every reasoning token is deleted, the reasoning's log-likelihood is 0."""
    tensors = LogprobTensors(torch.zeros(2, 0), torch.tensor([[-1.0], [-2.0]]))
    assert objective(tensors).tolist() == ([-1.0, -2.0] if objective.name == "joint" else [0.0, 0.0])


def test_the_value_alone_is_added_up() -> None:
    """Of the answer's tokens only those of the value count; what opens it and what ends the turn does not."""
    tensors = LogprobTensors(torch.zeros(1, 1), torch.tensor([[-8.0, -0.25, -0.5, -16.0]]), answer_value=(1, 3))
    assert AnswerValue()(tensors).tolist() == [-0.75]
    check_objective(AnswerValue)


def test_the_value_has_to_be_known() -> None:
    """A chain whose answer gives no value is refused, and so are log-probabilities that do not say where it is."""
    AnswerValue().check(toy_chain("ab", answer="#### 7"))
    with pytest.raises(ObjectiveError, match=r"chain 'x': .* gives none"):
        AnswerValue().check(toy_chain("ab", id="x", answer=r"\boxed{7"))
    with pytest.raises(ObjectiveError, match="was not told which tokens"):
        AnswerValue()(LOGPROBS)


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
def test_a_scorer_adds_up_the_value(backend: str) -> None:
    """On a model, whole, after deletions, from embeddings and with attention cut, it is the value's share of answer."""
    scorer = load_scorer("tiny", backend=backend, device="cpu")
    chain = tokenize_chain(demo_chains(limit=1)[0], scorer.tokenizer)
    assert chain.answer_value is not None
    expected = scorer.logprobs([chain])[0].answer[slice(*chain.answer_value)].sum()
    everything = range(len(chain.reasoning_ids))
    assert scorer.deletion_scores(chain, everything, [[]], AnswerValue())[0] == pytest.approx(expected, abs=1e-4)
    assert scorer.score_knockouts(chain, [[]], AnswerValue())[0] == pytest.approx(expected, abs=1e-4)
    assert scorer.objective_value(chain, AnswerValue()) == pytest.approx(expected, abs=1e-4)


def test_a_result_tells_an_objectives_parameters() -> None:
    """Runs of two parameters have two labels, are not joined, and are named as different; the label loads the same."""
    scorer = load_scorer("tiny", device="cpu")
    one, other = (
        compare(demo_chains(limit=1), scorer, ["position"], objective=Weighted(weight)) for weight in (1.0, 3.0)
    )
    assert (one.attrs["objective"], other.attrs["objective"]) == ("weighted", "weighted:weight=3.0")
    with pytest.raises(SchemaError, match="objective"):
        concat([one, other])
    with pytest.raises(AnalysisError, match="objective 'weighted' cannot be loaded"):
        recorded_objective(other)
    register_objective("weighted")(Weighted)
    assert recorded_objective(other).parameters() == {"weight": 3.0}
    assert objective_identity(Weighted(1.0)) != objective_identity(Weighted(3.0))


@pytest.fixture(autouse=True)
def _unregistered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test see what another one registers."""
    monkeypatch.setitem(registered, "objectives", dict(registered["objectives"]))


class Overwriting(Answer):
    """The answer's log-likelihood, computed in the place of its input."""

    name = "overwriting"

    def __call__(self, logprobs: LogprobTensors) -> torch.Tensor:
        """Return the sum, and spoil what it was made of."""
        values = logprobs.answer.sum(dim=-1, dtype=torch.float64)
        logprobs.answer.zero_()
        logprobs.reasoning.numpy()[:] = 5.0
        return values


@pytest.mark.parametrize("name", ["tiny", "toy"])
def test_an_objective_cannot_change_what_is_stored(name: str) -> None:
    """One that writes into its input leaves scores, and the likelihoods beside them, as they are."""
    if name == "toy":
        scorer: Scorer = AdditiveScorer({"a": 0.5, "b": 2.0})
        chain = toy_chain("ab")
    else:
        scorer = load_scorer("tiny", device="cpu")
        chain = tokenize_chain(demo_chains(limit=1)[0], scorer.tokenizer)
    everything, candidates = range(len(chain.reasoning_ids)), [[0], [1]]
    clean = scorer.score_deletions(chain, everything, candidates, Answer())
    spoiled = scorer.score_deletions(chain, everything, candidates, Overwriting())
    np.testing.assert_array_equal(spoiled.objective, clean.objective)
    np.testing.assert_array_equal(spoiled.answer, clean.answer)


def test_contrast_needs_a_wrong_answer() -> None:
    """A chain without a wrong answer, and log-probabilities without one, are refused; the chain is named."""
    with pytest.raises(ObjectiveError, match=r"chain 'x': the objective 'contrast' needs a wrong answer"):
        Contrast().check(toy_chain("ab", id="x"))
    Contrast().check(toy_chain("ab", wrong_answer="c"))
    with pytest.raises(ObjectiveError, match="no log-probabilities of a wrong answer"):
        Contrast()(LogprobTensors(torch.zeros(1, 1), torch.zeros(1, 1)))


@pytest.mark.parametrize("objective", [Joint(), Answer(), Reasoning()])
def test_the_others_need_none(objective: Objective) -> None:
    """Only objectives that read a wrong answer ask for one."""
    objective.check(toy_chain("ab"))


def test_an_objective_that_mixes_versions_is_refused() -> None:
    """A scalar, or one number a token, is no number a version: the error names the objective and both shapes."""

    class Mixed(Answer):
        name = "mixed"

        def __call__(self, logprobs: LogprobTensors) -> torch.Tensor:
            return logprobs.answer.sum()

    with pytest.raises(ObjectiveError, match=r"'mixed' must return .*\(2,\), not \(\)"):
        Mixed().evaluate(LOGPROBS)
    assert Answer().evaluate(LOGPROBS).tolist() == EXPECTED["answer"]


class Weighted(Answer):
    """The answer's log-likelihood times a weight."""

    name = "weighted"
    constraints = {"weight": Number(above=0)}

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight


def test_parameters_are_described_and_checked_before_any_work() -> None:
    """An objective has a label, and `compare` refuses a parameter that it does not allow."""
    assert Weighted(2.0).label == "weighted:weight=2.0"
    scorer = AdditiveScorer()
    with pytest.raises(ObjectiveError, match="weighted: weight=0 is not allowed; give a number above 0"):
        compare([], scorer, estimators=["position"], objective=Weighted(0))
    assert scorer.tokens_forwarded == 0
