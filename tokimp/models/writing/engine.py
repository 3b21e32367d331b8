"""What every engine that writes text has in common."""

from __future__ import annotations

from collections.abc import Sequence

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.scorer import Capability, Scorer, SpanLogprobs
from tokimp.errors import UnsupportedError


class WritingEngine(Scorer):
    """A scorer that only generates text: it gives no other numbers, so no backend has to wrap its model."""

    capabilities = frozenset({Capability.GENERATION})

    def logprobs(self, chains: Sequence[TokenizedChain]) -> list[SpanLogprobs]:
        """Raise `UnsupportedError`: log-probabilities come from a model loaded with `tokimp.load_scorer`."""
        raise UnsupportedError(f"{self.backend!r} only writes; tokimp.load_scorer({self.model_id!r}) scores")
