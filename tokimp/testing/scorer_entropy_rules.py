"""Rules about how open a scorer says that the choice of each token was."""

from __future__ import annotations

import numpy as np

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.testing.scorer_subject import Subject


def check_entropies(subject: Subject) -> None:
    """Check shapes, batches, the log-probabilities of the same pass, and what entropy and rank say of each other."""
    scorer, chains, rule = subject.scorer, subject.chains, "shapes of entropies"
    together = subject.ask_anew(scorer.entropies, chains)
    subject.expect(len(together) == len(chains), rule, f"{len(chains)} chains, {len(together)} answers")
    turned = subject.ask(scorer.entropies, chains[::-1])[::-1]
    for chain, spans, other, read in zip(chains, together, turned, subject.ask(scorer.logprobs, chains), strict=True):
        for span, ids in (("reasoning", chain.reasoning_ids), ("answer", chain.answer_ids)):
            entropy: FloatArray = getattr(spans, span)
            ranks: IntArray = getattr(spans, f"{span}_ranks")
            logprobs: FloatArray = getattr(spans.logprobs, span)
            where = f"the {span} of chain {chain.id!r}"
            subject.expect_array(entropy, (len(ids),), np.float32, rule, f"the entropy of {where}")
            subject.expect_array(ranks, (len(ids),), np.int64, rule, f"the ranks of {where}")
            subject.expect_equal(logprobs, getattr(read, span), "one pass", f"log-probabilities of {where}")
            message = f"the entropy of {where}, in a batch and in another order"
            subject.expect_equal(getattr(other, span), entropy, "any batch", message)
            _check_bounds(subject, entropy, ranks, logprobs, where)
    none = subject.ask(scorer.entropies, [])
    subject.expect(len(none) == 0, rule, f"no chains, {len(none)} answers")


def _check_bounds(subject: Subject, entropy: FloatArray, ranks: IntArray, logprobs: FloatArray, where: str) -> None:
    """Check what holds for every distribution: entropy is at least that of its likeliest token's surprisal."""
    below = (entropy < -subject.tolerance).any() or (ranks < 0).any()
    subject.expect(not below, "entropies are 0 or more", f"an entropy or a rank of {where} is below 0")
    likeliest = ranks == 0
    too_sure = likeliest & (entropy < -logprobs - subject.tolerance)
    message = f"of {where}: the likeliest token has a surprisal above the entropy"
    subject.expect(not too_sure.any(), "entropy and surprisal", message)
    # As many tokens are more likely as the rank says, and all together have a probability of 1.
    too_likely = ~likeliest & (logprobs > -np.log1p(ranks) + subject.tolerance)
    message = f"of {where}: a token is too likely to have so many others above it"
    subject.expect(not too_likely.any(), "rank and probability", message)
