"""What both estimators share: parameters of sampling, and the divided continuations of each beginning."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import Number, OneOf, Optional, Text, WholeNumber
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer
from tokimp_resample.answers import WrittenText, divide
from tokimp_resample.continuations import Continuations, Sampling

SAMPLING_CONSTRAINTS = {
    "rollouts": WholeNumber(2),
    "temperature": Number(above=0),
    "top_p": Number(above=0, most=1),
    "max_new_tokens": Optional(WholeNumber(1)),
    "success": OneOf("gold", "answer"),
    "folder": Optional(Text("a folder")),
    "seed": WholeNumber(),
}


class FromContinuations(ImportanceEstimator):
    """An estimator that reads what the model goes on to write after beginnings of the reasoning.

    A subclass has the parameters of `SAMPLING_CONSTRAINTS`, and says which beginnings it asks about.
    """

    requires = frozenset({Capability.GENERATION})
    rollouts: int
    temperature: float
    top_p: float
    max_new_tokens: int | None
    folder: str | None
    seed: int

    @abstractmethod
    def _beginnings(self, chain: TokenizedChain) -> list[tuple[int, ...]]:
        """Return the positions of the reasoning tokens that each beginning gives."""

    def expected_positions(self, chain: TokenizedChain, objective: Objective) -> float:
        """Return about how many token positions a chain takes, if its continuations are as long as itself."""
        del objective
        return float(len(self._beginnings(chain)) * self.rollouts * (len(chain) - 1))

    def _written(self, chain: TokenizedChain, scorer: Scorer) -> list[list[WrittenText]]:
        """Return what the model writes after each beginning, in reasoning and answer, [beginning][rollout]."""
        sampling = Sampling(self.rollouts, self.temperature, self.top_p, self.max_new_tokens, self.seed)
        texts = Continuations(scorer, chain, sampling, self.folder).after(self._beginnings(chain))
        # A model that is sure writes the same texts again and again.
        divided = {text: divide(text, chain.chain) for text in {text for after in texts for text in after}}
        return [[divided[text] for text in after] for after in texts]


def unanswered_share(written: Sequence[Sequence[WrittenText]]) -> float:
    """Return the share of continuations that end without an answer."""
    flat = [text for after in written for text in after]
    return sum(text.value is None for text in flat) / len(flat)
