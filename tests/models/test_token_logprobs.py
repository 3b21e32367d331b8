"""Log-probabilities of chosen tokens, gathered from logits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tokimp.models import token_logprobs as token_logprobs_module
from tokimp.models.token_logprobs import TokenQueries, gather_logprobs, token_logprobs


def query(*asked: tuple[int, int, int]) -> TokenQueries:
    """Return queries of (row, position, token)."""
    queries = TokenQueries()
    for row, position, token in asked:
        queries.add(row, position, token)
    return queries


@given(st.integers(0, 2**31), st.floats(0.1, 60), st.integers(1, 9))
def test_it_is_log_softmax_in_whatever_slices(seed: int, spread: float, count: int) -> None:
    """Every query equals log softmax in float64, however few logits are looked at once."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 4, 7, generator=generator) * spread
    asked = [tuple(int(torch.randint(size, (), generator=generator)) for size in (3, 4, 7)) for _ in range(count)]
    expected = logits.double().log_softmax(-1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_logprobs_module, "_FLOATS_AT_ONCE", {"": 14})
        found = gather_logprobs(logits, query(*((row, place, token) for row, place, token in asked)))
    for value, (row, place, token) in zip(found.tolist(), asked, strict=True):
        assert value == pytest.approx(float(expected[row, place, token]), rel=1e-4, abs=1e-14)


def test_tokens_that_are_all_but_certain_do_not_tie() -> None:
    """Of two sure tokens the surer one has the higher log-probability, though their logits are large."""
    logits = torch.tensor([[[30.0, 10.0, 0.0]], [[30.0, 10.5, 0.0]]])
    found = gather_logprobs(logits, query((0, 0, 0), (1, 0, 0)))
    expected = logits.double().log_softmax(-1)[:, 0, 0]
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)
    assert found[0] > found[1]


def test_the_least_likely_token_has_a_finite_log_probability() -> None:
    """Differences of logits far beyond the range of exp neither overflow nor vanish."""
    logits = torch.tensor([[[0.0, 500.0]]])
    assert gather_logprobs(logits, query((0, 0, 0), (0, 0, 1))).tolist() == [-500.0, 0.0]


def test_its_gradient_is_that_of_log_softmax() -> None:
    """Gradients pass through, with respect to the chosen token's logit and all others."""
    logits = torch.randn(1, 2, 5, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(gather_logprobs(logits, query((0, 1, 3), (0, 0, 2))).sum(), logits)
    expected = logits.log_softmax(-1)
    (wanted,) = torch.autograd.grad(expected[0, 1, 3] + expected[0, 0, 2], logits)
    torch.testing.assert_close(found, wanted)


@given(st.integers(0, 2**31), st.floats(0.1, 60), st.integers(1, 3))
def test_several_tokens_of_a_position_are_read_at_once(seed: int, spread: float, choices: int) -> None:
    """Whatever tokens are chosen (the most likely, equal ones, the same twice), each gets its log softmax."""
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(2, 3, 5, generator=generator) * spread).round()  # rounded: ties are common
    tokens = torch.randint(0, 5, (2, 3, choices), generator=generator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_logprobs_module, "_FLOATS_AT_ONCE", {"": 10})
        found = token_logprobs(logits, tokens)
    expected = logits.double().log_softmax(-1).gather(-1, tokens)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-14)


def test_a_certain_token_has_a_finite_gradient() -> None:
    """Where the other logits are so low that their share underflows, the gradient is zero, not NaN."""
    logits = torch.tensor([[[0.0, -1000.0]]], requires_grad=True)
    (found,) = torch.autograd.grad(gather_logprobs(logits, query((0, 0, 0))).sum(), logits)
    assert found.tolist() == [[[0.0, 0.0]]]
