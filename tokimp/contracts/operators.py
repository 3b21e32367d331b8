"""Operators: ways to take units away from a chain, each scored by the same call.

============  ==============================================================================================
``delete``    The ids are taken out, and later ones move up. What is deleted leaves every sum.
``knockout``  No later token can attend to them. Positions, and their own log-probabilities in sums, stay.
``mask``      Another token, or embedding, stands in their place. Positions stay; they leave every sum.
============  ==============================================================================================

Plugins take two parameters, ``operator`` and ``replacement``. The second says what stands in place of a masked token:

- ``eos``, ``pad`` or ``unk``: the tokenizer's token of that name, if it has one;
- a text that is one token, such as ``.`` or `` the``, or the id of a token;
- ``mean`` or ``zero``: no token, but the mean input embedding of the chain's reasoning tokens, or zeros. This needs
  gradients of the scorer, and one pass a version.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import AnyOf, Constraint, OneOf, Text, WholeNumber
from tokimp.contracts.masked_versions import with_replaced
from tokimp.contracts.objective import LogprobTensors, Objective, Span
from tokimp.contracts.scorer import Capability, DeletionScores, Scorer
from tokimp.errors import EstimatorError

EMBEDDINGS = ("mean", "zero")
"""Replacements that are no token but an input embedding."""
_SPECIAL = ("eos", "pad", "unk")


class Operator(ABC):
    """Takes units away from a chain, and scores what is left.

    Numbers of different operators must not be compared with each other, only what they imply (ranks, say): they keep
    other positions and sum over other tokens.

    Attributes
    ----------
    name
        What it is called.
    requires
        What it asks of the scorer.
    keeps_positions
        Whether every token stays at its position.
    keeps_own_logprobs
        Whether the log-probabilities of the tokens taken away stay in sums over the reasoning.
    requires_for_effects
        What `logprobs` asks of the scorer.
    gives_likelihoods
        Whether `score` gives the log-likelihoods of reasoning and answer beside the objective.
    """

    name: ClassVar[str]
    requires: ClassVar[frozenset[Capability]]
    requires_for_effects: ClassVar[frozenset[Capability]]
    keeps_positions: ClassVar[bool]
    keeps_own_logprobs: ClassVar[bool]
    gives_likelihoods: ClassVar[bool] = True

    @abstractmethod
    def score(
        self, scorer: Scorer, chain: TokenizedChain, taken: Sequence[Sequence[int]], objective: Objective
    ) -> DeletionScores:
        """Score a chain from which some of the reasoning is taken away.

        Parameters
        ----------
        scorer
            The model that scores.
        chain
            The full chain.
        taken
            For each version the positions of the reasoning tokens that are taken away, ascending; an empty one takes
            nothing.
        objective
            The number to compute for each version.

        Returns
        -------
        DeletionScores
            One entry a version. ``reasoning`` and ``answer`` may be NaN if the operator does not give them.
        """

    @abstractmethod
    def logprobs(self, scorer: Scorer, chain: TokenizedChain, taken: Sequence[Sequence[int]]) -> FloatArray:
        """Return the log-probability of every token after some of the reasoning is taken away.

        Parameters
        ----------
        scorer, chain, taken
            As for `score`.

        Returns
        -------
        FloatArray
            [version, reasoning token + answer token], nats; what stands at the tokens taken away means nothing.
        """


@dataclass(frozen=True)
class Delete(Operator):
    """Deletes tokens: later ones move up, and what is deleted leaves every sum."""

    name = "delete"
    requires = requires_for_effects = frozenset({Capability.DELETIONS})
    keeps_positions = False
    keeps_own_logprobs = False

    def score(
        self, scorer: Scorer, chain: TokenizedChain, taken: Sequence[Sequence[int]], objective: Objective
    ) -> DeletionScores:
        """Score the shortened chains; see `Scorer.score_deletions`."""
        return scorer.score_deletions(chain, range(len(chain.reasoning_ids)), taken, objective)

    def logprobs(self, scorer: Scorer, chain: TokenizedChain, taken: Sequence[Sequence[int]]) -> FloatArray:
        """Return the log-probabilities of what is left; see `Scorer.deletion_logprobs`."""
        return scorer.deletion_logprobs(chain, range(len(chain.reasoning_ids)), taken)


@dataclass(frozen=True)
class Knockout(Operator):
    """Hides tokens from all that follow them; positions and the hidden tokens' own log-probabilities stay."""

    name = "knockout"
    requires = frozenset({Capability.KNOCKOUT})
    requires_for_effects = frozenset({Capability.KNOCKOUT_LOGPROBS})
    keeps_positions = True
    keeps_own_logprobs = True
    gives_likelihoods = False

    def score(
        self, scorer: Scorer, chain: TokenizedChain, taken: Sequence[Sequence[int]], objective: Objective
    ) -> DeletionScores:
        """Score the chain with tokens hidden; see `Scorer.score_knockouts`. Only the objective is given."""
        values = scorer.score_knockouts(chain, taken, objective)
        unknown = np.full(len(taken), np.nan)
        return DeletionScores(objective=values, reasoning=unknown, answer=unknown)

    def logprobs(self, scorer: Scorer, chain: TokenizedChain, taken: Sequence[Sequence[int]]) -> FloatArray:
        """Return the log-probabilities with tokens hidden; see `Scorer.knockout_logprobs`."""
        return scorer.knockout_logprobs(chain, taken)


@dataclass(frozen=True)
class KnockoutWithLikelihoods(Knockout):
    """Hides tokens as `Knockout` does, and gives reasoning and answer beside the objective, from one pass a version.

    The sums are made of the log-probabilities of single tokens; a wrong answer that the objective reads takes another
    pass.
    """

    requires = frozenset({Capability.KNOCKOUT, Capability.KNOCKOUT_LOGPROBS})
    gives_likelihoods = True

    def score(
        self, scorer: Scorer, chain: TokenizedChain, taken: Sequence[Sequence[int]], objective: Objective
    ) -> DeletionScores:
        """Score the chain with tokens hidden; see `Scorer.knockout_logprobs`."""
        logprobs = torch.from_numpy(np.asarray(self.logprobs(scorer, chain, taken), dtype=np.float32))
        count = len(chain.reasoning_ids)
        reasoning, answer = logprobs[:, :count], logprobs[:, count:]
        if Span.WRONG_ANSWER in objective.spans:
            values = super().score(scorer, chain, taken, objective).objective
        else:
            spans = LogprobTensors(reasoning, answer, answer_value=chain.answer_value)
            values = objective.evaluate(spans).detach().numpy()
        sums = (part.double().sum(dim=1).numpy() for part in (reasoning, answer))
        return DeletionScores(values, *sums)


@dataclass(frozen=True)
class Mask(Operator):
    """Replaces tokens by another one; positions stay, and the tokens replaced leave every sum.

    Attributes
    ----------
    replacement
        What stands in their place; see the module.
    """

    replacement: str | int = "eos"
    name = "mask"
    requires_for_effects = frozenset({Capability.LOGPROBS})
    keeps_positions = True
    keeps_own_logprobs = False

    @property
    def requires(self) -> frozenset[Capability]:  # type: ignore[override] # a class attribute of the others
        """What it asks of the scorer."""
        return frozenset({Capability.GRADIENTS if self.replacement in EMBEDDINGS else Capability.LOGPROBS})

    @property
    def gives_likelihoods(self) -> bool:  # type: ignore[override] # a class attribute of the others
        """Whether reasoning and answer are given beside the objective."""
        return self.replacement not in EMBEDDINGS

    def score(
        self, scorer: Scorer, chain: TokenizedChain, taken: Sequence[Sequence[int]], objective: Objective
    ) -> DeletionScores:
        """Score the chain with tokens replaced; see `Scorer.score_masks`.

        Raises
        ------
        EstimatorError
            If the tokenizer has no such token.
        """
        if self.replacement in EMBEDDINGS:
            return self._score_embeddings(scorer, chain, taken, objective)
        return scorer.score_masks(chain, taken, replacement_id(scorer.tokenizer, self.replacement), objective)

    def logprobs(self, scorer: Scorer, chain: TokenizedChain, taken: Sequence[Sequence[int]]) -> FloatArray:
        """Return the log-probabilities of the versions with replaced ids.

        Raises
        ------
        EstimatorError
            If an embedding and no token stands in place of the masked ones.
        """
        if self.replacement in EMBEDDINGS:
            raise EstimatorError(
                f"replacement={self.replacement!r} gives no log-probabilities of single tokens; give a token"
            )
        replacement = replacement_id(scorer.tokenizer, self.replacement)
        spans = scorer.logprobs([with_replaced(chain, positions, replacement) for positions in taken])
        return np.stack([np.concatenate([span.reasoning, span.answer]) for span in spans])

    def _score_embeddings(
        self, scorer: Scorer, chain: TokenizedChain, taken: Sequence[Sequence[int]], objective: Objective
    ) -> DeletionScores:
        own = scorer.embedding_gradients(chain, objective)[0] if taken else np.zeros((0, 0), dtype=np.float32)
        stand_in = own.mean(axis=0) if self.replacement == "mean" else np.zeros(own.shape[1:], dtype=own.dtype)
        values = []
        for positions in taken:
            embeddings = own.copy()
            embeddings[list(positions)] = stand_in
            left = [position for position in range(len(own)) if position not in set(positions)]
            values.append(scorer.objective_value(chain, _WithoutMasked(objective, left), embeddings))
        unknown = np.full(len(taken), np.nan)
        return DeletionScores(objective=np.array(values, dtype=np.float64), reasoning=unknown, answer=unknown)


class _WithoutMasked(Objective):
    """An objective that is given the reasoning tokens that are not masked, and no others."""

    def __init__(self, objective: Objective, left: Sequence[int]) -> None:
        self._objective, self._left = objective, list(left)
        self.name = objective.name  # type: ignore[misc] # a class attribute of others; here that of the wrapped one
        self.spans = objective.spans  # type: ignore[misc] # likewise

    def __call__(self, logprobs: LogprobTensors) -> torch.Tensor:
        """Return the wrapped objective's values, [version]."""
        return self._objective(replace(logprobs, reasoning=logprobs.reasoning[:, self._left]))

    def check(self, chain: TokenizedChain) -> None:
        """Raise what the wrapped objective raises."""
        self._objective.check(chain)


OPERATORS: Mapping[str, type[Operator]] = MappingProxyType({"delete": Delete, "knockout": Knockout, "mask": Mask})
"""The operators, by name."""

OPERATOR_CONSTRAINTS: Mapping[str, Constraint] = MappingProxyType(
    {"operator": OneOf(*OPERATORS), "replacement": AnyOf(Text(), WholeNumber(0))}
)
"""The constraints of a plugin's parameters ``operator`` and ``replacement``."""


def make_operator(operator: str, replacement: str | int = "eos") -> Operator:
    """Return the operator of a name; `replacement` counts for ``mask`` alone.

    Examples
    --------
    >>> make_operator("mask", "pad")
    Mask(replacement='pad')
    """
    return Mask(replacement) if operator == "mask" else OPERATORS[operator]()


def replacement_id(tokenizer: Any, replacement: str | int) -> int:
    """Return the id of the token that stands in place of masked ones.

    Parameters
    ----------
    tokenizer
        The model's tokenizer.
    replacement
        ``eos``, ``pad``, ``unk``, an id, or a text that is one token.

    Raises
    ------
    EstimatorError
        If the tokenizer has no such token, or the text is several.
    """
    if isinstance(replacement, str):
        if replacement in _SPECIAL:
            special = getattr(tokenizer, f"{replacement}_token_id", None)
            if special is None:
                raise EstimatorError(
                    f"replacement={replacement!r}: the model's tokenizer has no such token; give another one "
                    "(eos, pad, unk), a text that is one token such as '.', or an id"
                )
            return int(special)
        try:
            ids = tokenizer.encode(replacement, add_special_tokens=False)
        except TypeError:
            ids = tokenizer.encode(replacement)
        if len(ids) != 1:
            raise EstimatorError(
                f"replacement={replacement!r} is {len(ids)} tokens of the model's tokenizer; give a text that is one "
                "token such as '.', its id, or eos, pad, unk, mean or zero"
            )
        return int(ids[0])
    if hasattr(tokenizer, "__len__") and replacement >= len(tokenizer):
        raise EstimatorError(f"replacement={replacement} is no id: the model's tokenizer has {len(tokenizer)} tokens")
    return int(replacement)


class RequiredByOperator:
    """The attribute `requires` of a class with a parameter ``operator``: what that operator asks of the scorer.

    If the class has a parameter ``effects`` and it is true, what effects ask is added.

    Parameters
    ----------
    *also
        What is required whatever the operator is.
    usual
        The operator of the class itself, and of instances that have no such parameter.
    """

    def __init__(self, *also: Capability, usual: str = "delete") -> None:
        self._also, self._usual = frozenset(also), usual

    def __get__(self, instance: Any, owner: type[Any]) -> frozenset[Capability]:
        """Return what is required by an instance, or by its class."""
        name = getattr(instance, "operator", self._usual)
        # What is not allowed is said where parameters are checked.
        operator = make_operator(name if name in OPERATORS else self._usual, getattr(instance, "replacement", "eos"))
        effects = operator.requires_for_effects if getattr(instance, "effects", False) else frozenset()
        return self._also | operator.requires | effects
