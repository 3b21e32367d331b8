"""Every estimator on a small random llama, against the plainest code on the same weights in transformers alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tokimp_attention import Attention
from tokimp_gradient import Gradient
from tokimp_greedy import GreedyPruning
from tokimp_leave_one_out import LeaveOneOut
from tokimp_position import Position
from tokimp_transformer_lens import TransformerLensScorer

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.contracts.objective import Answer, Joint, Objective
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.testing import check_estimator
from tokimp.testing.random_models import byte_tokenizer, random_model

OBJECTIVES = [Joint(), Answer()]


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    """Return a scorer of a llama with grouped queries."""
    return TransformerLensScorer(random_model("llama"), tokenizer=byte_tokenizer(), device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def model() -> Any:
    """Return the same llama, untouched by any backend."""
    return random_model("llama")


def chain(unit: str = "token") -> TokenizedChain:
    """Return a short chain in some unit."""
    text = Chain("sum", question="2+2?", reasoning="2+2 is 4.", answer="4 it is")
    return tokenize_chain(text, byte_tokenizer(), "plain", unit)


def objective_of(model: Any, tokens: TokenizedChain, kept: list[int], objective: Objective) -> float:
    """Return the objective of what is kept, from one pass of the plain model over the joined ids."""
    reasoning = [tokens.reasoning_ids[position] for position in kept]
    ids = [*tokens.prompt_ids, *reasoning, *tokens.answer_ids]
    with torch.no_grad():
        logprobs = model(torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
    per_token = [float(logprobs[position - 1, ids[position]]) for position in range(len(tokens.prompt_ids), len(ids))]
    return sum(per_token if isinstance(objective, Joint) else per_token[len(reasoning) :])


def values_without_each(model: Any, tokens: TokenizedChain, units: list[int], objective: Objective) -> list[float]:
    """Return the objective after the deletion of each of some units, in their order."""
    kept = [[p for other in units if other != unit for p in tokens.units[other]] for unit in units]
    return [objective_of(model, tokens, positions, objective) for positions in kept]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
@pytest.mark.parametrize("unit", ["token", "word"])
def test_greedy_pruning(scorer: Scorer, model: Any, unit: str, objective: Objective) -> None:
    """Every step deletes what scoring each shortened sequence from nothing finds best, to 1e-4 nats."""
    tokens = chain(unit)
    found = GreedyPruning().estimate(tokens, scorer, objective)
    assert found.order is not None
    assert found.trajectory is not None
    units = list(range(len(tokens.units)))
    trajectory = found.trajectory.joint if isinstance(objective, Joint) else found.trajectory.answer
    for step, deleted in enumerate(np.argsort(found.order)):
        values = dict(zip(units, values_without_each(model, tokens, units, objective), strict=True))
        assert values[deleted] == pytest.approx(max(values.values()), abs=1e-4)
        assert trajectory[step] == pytest.approx(values[deleted], abs=1e-4)
        units.remove(deleted)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
@pytest.mark.parametrize("unit", ["token", "word"])
def test_leave_one_out(scorer: Scorer, model: Any, unit: str, objective: Objective) -> None:
    """The drop is that between two plain passes, to 1e-4 nats."""
    tokens = chain(unit)
    full = objective_of(model, tokens, list(range(len(tokens.reasoning_ids))), objective)
    expected = full - np.array(values_without_each(model, tokens, list(range(len(tokens.units))), objective))
    np.testing.assert_allclose(LeaveOneOut().estimate(tokens, scorer, objective).scores, expected, atol=1e-4)


def test_attention(scorer: Scorer, model: Any) -> None:
    """Attention to each token is that of the plain model's matrices, read at the positions that predict the answer."""
    tokens = chain()
    with torch.no_grad():
        layers = model(torch.tensor([tokens.input_ids]), output_attentions=True).attentions
    start, stop = len(tokens.prompt_ids), len(tokens.prompt_ids) + len(tokens.reasoning_ids)
    rows = torch.stack(layers)[:, 0, :, stop - 1 : -1, start:stop]
    for aggregate, expected in (
        ("mean", rows.mean(dim=2).mean(dim=(0, 1))),
        ("max", rows.mean(dim=2).amax(dim=(0, 1))),
    ):
        found = Attention(aggregate=aggregate).estimate(tokens, scorer, Joint())  # type: ignore[arg-type] # both choices
        np.testing.assert_allclose(found.scores, expected, atol=1e-5)
    rollout = torch.eye(len(tokens))
    for layer in layers:
        rollout = (layer[0].mean(dim=0) + torch.eye(len(tokens))) / 2 @ rollout
    found = Attention("last", "rollout").estimate(tokens, scorer, Joint())
    np.testing.assert_allclose(found.scores, rollout[-2, start:stop], atol=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_gradient(scorer: Scorer, model: Any, objective: Objective) -> None:
    """Gradient x input is that of torch on the plain model's embeddings, summed over words."""
    tokens = chain("word")
    start, stop = len(tokens.prompt_ids), len(tokens.prompt_ids) + len(tokens.reasoning_ids)
    embedded = model.get_input_embeddings()(torch.tensor([tokens.input_ids])).detach().requires_grad_()
    logprobs = model(inputs_embeds=embedded).logits[0].log_softmax(dim=-1)
    first = start if isinstance(objective, Joint) else stop
    value = sum(logprobs[position - 1, tokens.input_ids[position]] for position in range(first, len(tokens)))
    (gradient,) = torch.autograd.grad(value, embedded)
    products = (gradient * embedded).sum(dim=-1)[0, start:stop].detach()
    expected = [float(products[list(unit)].sum()) for unit in tokens.units]
    found = Gradient().estimate(tokens, scorer, objective)
    np.testing.assert_allclose(found.scores, expected, rtol=1e-4, atol=1e-4)


def test_integrated_gradients_are_complete(scorer: Scorer) -> None:
    """With enough steps the scores add up to the objective's change from the baseline."""
    few, many = (Gradient("integrated_gradients", steps=n).estimate(chain(), scorer, Answer()) for n in (2, 48))
    assert abs(many.diagnostics["completeness_gap"]) < abs(few.diagnostics["completeness_gap"])
    assert many.diagnostics["completeness_gap_relative"] < 0.05


@pytest.mark.parametrize(
    "estimator",
    [GreedyPruning(0.5), LeaveOneOut(), Attention(), Attention("later", "value_norm"), Gradient(), Position()],
    ids=lambda estimator: estimator.label,
)
def test_each_keeps_the_contract_on_a_model(scorer: Scorer, estimator: Any) -> None:
    """The check of estimators passes with a real scorer as it does with the toy one."""
    check_estimator(estimator, scorer, [chain("token"), chain("word"), chain("sentence")], [Joint()])


def test_the_check_makes_chains_for_a_scorer(scorer: Scorer) -> None:
    """Given a scorer alone, the check tokenises its own chains for it."""
    before = scorer.tokens_forwarded
    check_estimator(Attention(layers=[0]), scorer, objectives=[Joint()])
    assert scorer.tokens_forwarded > before
