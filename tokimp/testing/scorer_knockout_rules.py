"""Rules about what a scorer says of single predictions under a knockout."""

from __future__ import annotations

import numpy as np

from tokimp.contracts.objective import Answer
from tokimp.contracts.scorer import Capability
from tokimp.testing.scorer_subject import Subject


def check_knockout_predictions(subject: Subject) -> None:
    """Check log-probabilities and divergences under knockouts against the chain as it is, and against each other."""
    scorer, rule = subject.scorer, "shapes of knockouts"
    for chain in subject.chains:
        last = len(chain.reasoning_ids) - 1
        hidden = [(), (0,), (0, last), (last,)]
        shape, where = (len(hidden), last + 1 + len(chain.answer_ids)), f"chain {chain.id!r}"
        (spans,) = subject.ask(scorer.logprobs, [chain])
        read = np.concatenate([spans.reasoning, spans.answer])
        for queries in ("later", "all"):
            logprobs = subject.ask_anew(scorer.knockout_logprobs, chain, hidden, queries=queries)
            moved = subject.ask_anew(scorer.knockout_divergences, chain, hidden, queries=queries)
            subject.expect_array(logprobs, shape, np.float32, rule, f"log-probabilities under knockouts of {where}")
            subject.expect_array(moved, shape, np.float32, rule, f"divergences under knockouts of {where}")
            subject.expect_equal(logprobs[0], read, "knockout of nothing", f"log-probabilities of {where}")
            subject.expect(bool((moved >= 0).all()), "divergences are 0 or more", f"one of {where} is below 0")
            message = f"divergences of {where} with nothing hidden"
            subject.expect_equal(moved[0], np.zeros_like(moved[0]), "knockout of nothing", message)
            # The last reasoning token hides from nothing that predicts the reasoning.
            message = f"{where}: the reasoning, with its last token hidden"
            subject.expect_equal(logprobs[3, : last + 1], read[: last + 1], "no effect on what precedes", message)
            subject.expect_equal(moved[3, : last + 1], np.zeros(last + 1), "no effect on what precedes", message)
            alone = subject.ask(scorer.knockout_divergences, chain, hidden[1:2], queries=queries)
            subject.expect_equal(alone[0], moved[1], "any batch", f"divergences of {where}, alone and in a batch")
            if queries == "later" and subject.has(Capability.KNOCKOUT):
                values = subject.ask(scorer.score_knockouts, chain, hidden, Answer())
                message = f"{where}: log P(answer) after knockouts, and the objective"
                sums = logprobs[:, last + 1 :].astype(np.float64).sum(axis=1)
                subject.expect_equal(sums, values, "knockouts agree", message)
        none = subject.ask(scorer.knockout_logprobs, chain, [])
        subject.expect_array(none, (0, shape[1]), np.float32, rule, "the answer to no knockouts")
