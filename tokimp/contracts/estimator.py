"""Estimator: the contract of what gives each unit of a chain's reasoning an importance."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import ClassVar

import numpy as np

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.effects import effects_problem
from tokimp.contracts.objective import Objective
from tokimp.contracts.parameters import Parameterized
from tokimp.contracts.plugin_output import array_problem, described
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.errors import EstimatorError


@dataclass(frozen=True, slots=True)
class Trajectory:
    """Log-likelihoods (float64, nats) of what is left after each deletion, [step] each."""

    joint: FloatArray
    answer: FloatArray
    reasoning: FloatArray


@dataclass(frozen=True, slots=True)
class Importance:
    """The importance of each unit of one chain.

    Attributes
    ----------
    scores
        [unit]; higher = more important, always. Finite.
    order
        [unit], for estimators that delete in sequence: the step at which the unit was deleted, from 0; -1 if it stayed.
    trajectory
        For such estimators, the likelihoods after each step.
    diagnostics
        Named numbers that say how far the scores can be trusted (the completeness gap of integrated gradients, say).
    effects
        [unit, unit], for estimators that know what each unit does to each later one: the log-probability (nats) that
        the second loses when the first is taken away; 0 on the diagonal and before it. Such an estimator says so
        (`ImportanceEstimator.gives_effects`).
    effects_on_answer
        [unit], likewise what the answer loses.
    """

    scores: FloatArray
    order: IntArray | None = None
    trajectory: Trajectory | None = None
    diagnostics: Mapping[str, float] = field(default_factory=dict)
    effects: FloatArray | None = None
    effects_on_answer: FloatArray | None = None

    def __repr__(self) -> str:
        """Show on one line how many units there are, and the range of their scores."""
        from tokimp.contracts.display import importance_line  # noqa: PLC0415 - it reads importances

        return importance_line(self)

    def _repr_html_(self) -> str:
        """Return it as a notebook shows it: the most important units, and the diagnostics."""
        from tokimp.contracts.display import importance_html  # noqa: PLC0415 - as above

        return importance_html(self)


class ImportanceEstimator(Parameterized, ABC):
    """Ranks the units of a chain; the one class a new method subclasses.

    ``__init__`` only stores its parameters, each under its own name (scikit-learn's habit), so that an estimator can
    be described, compared and stored by them; `constraints` says which values they may have. Parameters and `requires`
    are checked before any work starts. `estimate` asks the scorer for numbers and never touches a model itself.
    `tokimp.testing.check_estimator` checks all this.

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

    _error = EstimatorError
    requires: ClassVar[frozenset[Capability]] = frozenset()

    @property
    def gives_effects(self) -> bool:
        """Whether its importances have effects, whose size is checked before any work; it has not by default."""
        return False

    @abstractmethod
    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return the importance of each of ``chain.units``, in their order."""

    def input_digests(self) -> Mapping[str, str]:
        """Return a digest of each file that a parameter names, by parameter; none by default.

        The digests are stored with the parameters, so that a run is not continued after a file has changed.
        """
        return {}


def sum_over_units(chain: TokenizedChain, token_scores: FloatArray) -> FloatArray:
    """Sum the tokens' scores over each unit, which gives scores of words and sentences.

    Parameters
    ----------
    chain
        The chain whose units they are.
    token_scores
        Scores of tokens, [..., reasoning token].

    Returns
    -------
    FloatArray
        [..., unit], float64.
    """
    if token_scores.shape[-1:] != (len(chain.reasoning_ids),):
        raise EstimatorError(
            f"{chain.chain.where}: scores of shape {token_scores.shape} do not have one entry for each of the "
            f"{len(chain.reasoning_ids)} reasoning tokens in their last dimension"
        )
    return np.stack([token_scores[..., list(unit)].sum(axis=-1, dtype=np.float64) for unit in chain.units], axis=-1)


def check_importance(importance: Importance, chain: TokenizedChain, label: str) -> None:
    """Raise `EstimatorError` unless `importance` is a well-formed one of `chain`.

    A well-formed importance has one finite score a unit. If units were deleted in sequence, the steps are 0, 1, 2, ...;
    a unit deleted later has no lower score, a unit that stayed has a higher score than all deleted ones, and each
    trajectory has one entry a step.

    Parameters
    ----------
    importance
        The importance that an estimator returned.
    chain
        The chain that it was asked about.
    label
        The estimator's label, for the message.
    """
    n_units = len(chain.units)
    problem = (
        _type_problem(importance)
        or _score_problem(importance, n_units)
        or _order_problem(importance, n_units)
        or _diagnostics_problem(importance.diagnostics)
        or effects_problem(importance.effects, importance.effects_on_answer, n_units)
    )
    if problem:
        raise EstimatorError(f"{chain.chain.where}: the estimator {label!r} returned {problem}")


def _type_problem(importance: object) -> str:
    return "" if isinstance(importance, Importance) else f"{described(importance)}; an Importance was expected"


def _score_problem(importance: Importance, n_units: int) -> str:
    if problem := array_problem(importance.scores, (n_units,), "one score a unit"):
        return f"as scores, {problem}"
    wrong = np.flatnonzero(~np.isfinite(importance.scores))
    return f"scores that are not finite, of units {wrong[:5].tolist()}" if len(wrong) else ""


def _diagnostics_problem(diagnostics: object) -> str:
    if not isinstance(diagnostics, Mapping):
        return f"as diagnostics, {described(diagnostics)}; a dict of named numbers was expected"
    for name, value in diagnostics.items():
        # An array of one number is a number to float(), and nothing that a table can be made of.
        if not (isinstance(name, str) and name.isidentifier() and isinstance(value, Real | np.number | np.bool_)):
            return f"the diagnostic {name!r} with {described(value)}; a name such as 'gap' and a number were expected"
    return ""


def _order_problem(importance: Importance, n_units: int) -> str:  # noqa: PLR0911 - one return for each thing that can be wrong
    scores, order, trajectory = importance.scores, importance.order, importance.trajectory
    if order is None:
        return "" if trajectory is None else "a trajectory without the order of the deletions it belongs to"
    if problem := array_problem(order, (n_units,), "the step of each unit, or -1", whole=True):
        return f"as order, {problem}"
    removed = np.flatnonzero(order >= 0)
    if sorted(order[removed].tolist()) != list(range(len(removed))):
        return "an order whose steps are not 0, 1, 2, ..., each once"
    in_sequence = scores[removed[np.argsort(order[removed])]].astype(np.float64)
    if (np.diff(in_sequence) < 0).any() or (np.delete(scores, removed) <= in_sequence.max(initial=-np.inf)).any():
        return (
            "scores that contradict its order: later deletions must not score lower, units that stay must score highest"
        )
    if trajectory is not None and not isinstance(trajectory, Trajectory):
        return f"as trajectory, {described(trajectory)}; a Trajectory was expected"
    for name in ("joint", "answer", "reasoning") if trajectory is not None else ():
        if problem := array_problem(getattr(trajectory, name), (len(removed),), "one number a deletion"):
            return f"as {name} of the trajectory, {problem}"
    return ""
