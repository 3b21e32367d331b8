"""The rule of `tokimp.testing.check_scorer` on masking: tokens replaced by another one, positions kept."""

from __future__ import annotations

from dataclasses import replace

import torch

from tokimp.contracts.objective import LogprobTensors
from tokimp.testing.scorer_subject import Subject, objectives_for

_RULE = "a masked chain is the chain of the replaced ids"


def check_masks(subject: Subject) -> None:
    """Check masks of nothing, one token, the last tokens and everything, by objective, against replaced ids."""
    for chain in subject.chains[:2]:
        length, replacement = len(chain.reasoning_ids), chain.prompt_ids[0]
        masked = [(), (0,), tuple(range(length // 2, length)), tuple(range(length))]
        for objective in objectives_for(chain):
            found = subject.ask_anew(subject.scorer.score_masks, chain, masked, replacement, objective)
            for index, positions in enumerate(masked):
                ids = [replacement if at in positions else token for at, token in enumerate(chain.reasoning_ids)]
                renamed = replace(chain.chain, id=f"{chain.id} with {ids}")
                read = subject.read(replace(chain, chain=renamed, reasoning_ids=tuple(ids)), range(length))
                left = [at for at in range(length) if at not in positions]
                spans = LogprobTensors(read.reasoning[:, left], read.answer, read.wrong_answer, read.answer_value)
                wanted = objective.evaluate(spans)[0].item()
                message = f"{objective.name} with {list(positions)} of {chain.id!r} masked"
                subject.expect_equal(found.objective[index], wanted, _RULE, message)
                for name in ("reasoning", "answer"):
                    total = getattr(spans, name).sum(dtype=torch.float64).item()
                    subject.expect_equal(getattr(found, name)[index], total, _RULE, f"{name}, {message}")
