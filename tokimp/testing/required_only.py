"""A scorer that gives a plugin what it requires, and notices when it asks for more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.scorer import Capability, Scorer

_NEEDED = {
    "logprobs": Capability.LOGPROBS,
    "entropies": Capability.ENTROPY,
    "score_masks": Capability.LOGPROBS,
    "score_deletions": Capability.DELETIONS,
    "deletion_scores": Capability.DELETIONS,
    "deletion_logprobs": Capability.DELETIONS,
    "attention": Capability.ATTENTION,
    "states": Capability.STATES,
    "activations": Capability.ACTIVATIONS,
    "activation_gradients": Capability.ACTIVATIONS,
    "score_knockouts": Capability.KNOCKOUT,
    "knockout_logprobs": Capability.KNOCKOUT_LOGPROBS,
    "knockout_divergences": Capability.KNOCKOUT_LOGPROBS,
    "embedding_gradients": Capability.GRADIENTS,
    "objective_value": Capability.GRADIENTS,
    "generate": Capability.GENERATION,
}


class RequiredOnly(Scorer):
    """Passes on to a scorer what a plugin requires, and remembers what else it was asked for.

    Parameters
    ----------
    scorer
        The scorer that answers.
    requires
        The capabilities that the plugin says it requires.

    Attributes
    ----------
    trespasses
        A sentence for each call that `requires` does not cover.
    """

    def __init__(self, scorer: Scorer, requires: frozenset[Capability]) -> None:
        self._scorer = scorer
        self._requires = requires
        self.capabilities = requires
        self.trespasses: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        needed = _NEEDED.get(name)
        own = object.__getattribute__
        if needed is not None:
            if needed not in own(self, "_requires"):
                message = f"asks the scorer for {name}, so requires must hold Capability.{needed.name}"
                own(self, "trespasses").append(message)
                raise AssertionError(message)
            return getattr(own(self, "_scorer"), name)
        if name in {"_scorer", "_requires", "capabilities", "trespasses"} or name.startswith("__"):
            return own(self, name)
        return getattr(own(self, "_scorer"), name)

    def logprobs(self, chains: Sequence[TokenizedChain]) -> Any:
        """Exist, because the contract demands it; every call is answered by ``__getattribute__``."""
        raise NotImplementedError
