"""The estimator: gives each unit of a chain's reasoning an importance."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tokimp.chain import TokenizedChain
from tokimp.errors import EstimatorError
from tokimp.objective import Objective
from tokimp.scorer import Capability, FloatArray, Scorer

IntArray = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Trajectory:
    """Log-likelihoods (float64, nats) of what is left after each deletion, [step] each."""

    joint: FloatArray
    answer: FloatArray
    reasoning: FloatArray


@dataclass(frozen=True, slots=True)
class Importance:
    """What an estimator found out about one chain.

    Attributes
    ----------
    scores
        [unit]; higher = more important, always. Finite.
    order
        [unit], for estimators that delete in sequence: the step at which the unit went, from 0; -1 where it stayed.
    trajectory
        For such estimators, the likelihoods after each step.
    diagnostics
        Named numbers that say how far the scores can be trusted (the completeness gap of integrated gradients, say).
    """

    scores: FloatArray
    order: IntArray | None = None
    trajectory: Trajectory | None = None
    diagnostics: Mapping[str, float] = field(default_factory=dict)


class ImportanceEstimator(ABC):
    """Ranks the units of a chain; the one class a new method subclasses.

    ``__init__`` only stores its parameters, each under its own name (scikit-learn's habit), so that an estimator can
    be described, compared and stored by them. `requires` is checked before any work starts. `estimate` asks the
    scorer for numbers and never touches a model itself.

    Examples
    --------
    An estimator that calls a token important when the model did not expect it:

    >>> class Unexpected(ImportanceEstimator):
    ...     name = "unexpected"
    ...     requires = frozenset({Capability.LOGPROBS})
    ...
    ...     def __init__(self, power=1.0):
    ...         self.power = power
    ...
    ...     def estimate(self, chain, scorer, objective):
    ...         surprisal = -scorer.logprobs([chain])[0].reasoning
    ...         return Importance(np.array([(surprisal[list(unit)] ** self.power).sum() for unit in chain.units]))
    >>> Unexpected(power=2.0).label
    'unexpected:power=2.0'
    """

    name: ClassVar[str]
    requires: ClassVar[frozenset[Capability]] = frozenset()

    @abstractmethod
    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return the importance of each of ``chain.units``, in their order."""

    def parameters(self) -> dict[str, Any]:
        """Return the values of ``__init__``'s parameters, by name."""
        names = [name for name in inspect.signature(type(self)).parameters]
        missing = [name for name in names if not hasattr(self, name)]
        if missing:
            raise EstimatorError(
                f"{type(self).__name__}.__init__ must store its parameter {missing[0]!r} as self.{missing[0]}"
            )
        return {name: getattr(self, name) for name in names}

    @property
    def label(self) -> str:
        """The name, and those parameters that differ from their defaults: ``greedy:keep_ratio=0.5``."""
        defaults = {name: p.default for name, p in inspect.signature(type(self)).parameters.items()}
        changed = [f"{name}={value}" for name, value in self.parameters().items() if value != defaults[name]]
        return f"{self.name}:{','.join(changed)}" if changed else self.name

    def __repr__(self) -> str:
        """Show the class and its parameters."""
        shown = ", ".join(f"{name}={value!r}" for name, value in self.parameters().items())
        return f"{type(self).__name__}({shown})"
