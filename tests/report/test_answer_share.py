"""The share of the value in log P(answer), and the warning where it is small."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tokimp.contracts.scorer import SpanLogprobs
from tokimp.report.answer_share import answer_share_warning, value_share
from tokimp.testing import AdditiveScorer, toy_chain
from tokimp.testing.toy_result import toy_result


class Unsure(AdditiveScorer):
    """It is sure of nothing but the value: a token that is a digit costs 0.5 nats, any other 2."""

    def logprobs(self, chains: object) -> list[SpanLogprobs]:
        """Return the log-probabilities of every chain."""
        spans = super().logprobs(chains)  # type: ignore[arg-type] # the very argument
        return [
            SpanLogprobs(
                span.reasoning, np.array([-0.5 if chr(i).isdigit() else -2.0 for i in chain.answer_ids], np.float32)
            )
            for span, chain in zip(spans, chains, strict=True)  # type: ignore[call-overload] # likewise
        ]


def result(answer: str, objective: str) -> xr.DataTree:
    """Return the result of one chain with an answer."""
    return toy_result({"mine": [[1.0, 2.0]]}, [toy_chain("ab", answer=answer)], Unsure(), objective=objective)


def test_the_share_is_that_of_the_values_tokens() -> None:
    """Of `#### 77` the two digits make 1 nat of 11; of a plain answer everything is the value."""
    assert result("#### 77", "answer")["full_loglik_answer_value"].item() == pytest.approx(-1.0)
    assert value_share(result("#### 77", "answer")) == pytest.approx(1 / 11)
    assert value_share(result("77", "answer")) == pytest.approx(1)
    assert np.isnan(value_share(result(r"\boxed{7", "answer")))


def test_a_run_that_measures_the_format_is_warned_of() -> None:
    """The warning names the share and the objective to use; it is given for `answer` only, and only where it is due."""
    assert "only 9% of log P(answer) is the answer's value" in answer_share_warning(result("#### 77", "answer"))
    assert "answer_value" in answer_share_warning(result("#### 77", "answer"))
    assert answer_share_warning(result("#### 77", "answer_value")) == ""
    assert answer_share_warning(result("77", "answer")) == ""
