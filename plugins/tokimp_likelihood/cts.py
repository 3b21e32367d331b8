"""Conditional token selection: a reasoning unit is important when knowing the answer makes it more likely."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tokimp.chains.chain import Ids, TokenizedChain
from tokimp.chains.chain_text import Piece
from tokimp.chains.datasets.correctness import split_answer
from tokimp.chains.span_encoder import SpanEncoder
from tokimp.contracts.constraints import Text
from tokimp.contracts.estimator import Importance, ImportanceEstimator, sum_over_units
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer

__all__ = ["ConditionalTokenSelection"]

_PLACE = "{answer}"


class ConditionalTokenSelection(ImportanceEstimator):
    r"""Scores a unit by how much more likely it gets when the answer stands before it; the objective is not used.

    ``importance(u) = sum over tokens t of u of [log P(t | question, answer, reasoning before t)
    - log P(t | question, reasoning before t)]``, in nats: the pointwise mutual information of the unit and the answer,
    given what precedes it. It may be negative: the answer then makes the unit less likely. A sum over tokens favours
    long units of either sign.

    This is the score of *conditional token selection* (arXiv 2505.17827). The authors' repository puts the question
    before the reasoning, where the paper's caption names the answer; here it is the answer, and the question stands in
    both passes. Theirs prunes in chunks of 1800 tokens, with a model that was fine-tuned for it, and always keeps
    digits; here the whole chain is scored at once by the scorer itself. It takes two passes over the full chain.

    Parameters
    ----------
    template
        What is put between prompt and reasoning. ``{answer}`` stands for the value that the answer gives, or for the
        whole answer where it gives none. The text around it matters, and so does how the prompt ends.

    Examples
    --------
    >>> from tokimp.contracts.objective import Joint
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> ConditionalTokenSelection().estimate(toy_chain("ab"), AdditiveScorer(), Joint()).scores.tolist()
    [0.0, 0.0]
    """

    name = "cts"
    requires = frozenset({Capability.LOGPROBS})
    constraints = {"template": Text()}

    def __init__(self, template: str = "The answer is {answer}.\n") -> None:
        self.template = template

    def validate_parameters(self) -> None:
        """Raise `EstimatorError` if a parameter is not allowed."""
        super().validate_parameters()
        if _PLACE not in self.template:
            raise self.invalid_parameter("template", f"a text in which {_PLACE} stands for the answer")

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return each unit's gain in log-probability, [unit], nats; `objective` is not used.

        Raises
        ------
        EstimatorError
            If a parameter is not allowed.
        ScorerError
            If the chain is too long for the model once the answer stands before the reasoning.
        """
        self.validate_parameters()
        value = split_answer(chain.chain.answer).value or chain.chain.answer.strip()
        condition = _encode(scorer.tokenizer, self.template.replace(_PLACE, value), chain)
        informed = replace(chain, prompt_ids=chain.prompt_ids + condition)
        with_answer, without = scorer.logprobs([informed, chain])
        return Importance(sum_over_units(chain, with_answer.reasoning - without.reasoning))


def _encode(tokenizer: Any, text: str, chain: TokenizedChain) -> Ids:
    """Return the ids of a text that stands amid others."""
    if hasattr(tokenizer, "backend_tokenizer"):
        return SpanEncoder.of(tokenizer).encode((Piece(text, markup=False),), where=chain.chain.where)
    return tuple(tokenizer.encode(text))
