"""What both estimators share: parameters of sampling, and the divided continuations of each beginning."""

from __future__ import annotations

from collections.abc import Sequence

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import Number, OneOf, Optional, Text, WholeNumber
from tokimp.contracts.scorer import Scorer
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


def written_after(
    beginnings: Sequence[Sequence[int]],
    chain: TokenizedChain,
    scorer: Scorer,
    sampling: Sampling,
    folder: str | None,
) -> list[list[WrittenText]]:
    """Return what the model wrote after each beginning, divided into reasoning and answer, [beginning][rollout]."""
    texts = Continuations(scorer, chain, sampling, folder).after(beginnings)
    # A model that is sure writes the same texts again and again.
    divided = {text: divide(text, chain.chain) for text in {text for after in texts for text in after}}
    return [[divided[text] for text in after] for after in texts]


def unanswered_share(written: Sequence[Sequence[WrittenText]]) -> float:
    """Return the share of continuations that end without an answer."""
    flat = [text for after in written for text in after]
    return sum(text.value is None for text in flat) / len(flat)


def expected_positions(chain: TokenizedChain, n_beginnings: int, rollouts: int) -> float:
    """Return about how many token positions sampling reads: each continuation as long as the chain's own."""
    return float(n_beginnings * rollouts * (len(chain) - 1))
