"""Rules about what a scorer makes of text: log-probabilities, deletions and generation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import LogprobTensors, Objective, Span
from tokimp.contracts.scorer import DeletionScores
from tokimp.testing.scorer_subject import Subject, objectives_for


def check_logprobs(subject: Subject) -> None:
    """Check shapes, precision and that batch and order do not matter."""
    scorer, chains = subject.scorer, subject.chains
    together = subject.ask_anew(scorer.logprobs, chains)
    rule = "shapes of log-probabilities"
    subject.expect(len(together) == len(chains), rule, f"{len(chains)} chains, {len(together)} answers")
    for chain, spans in zip(chains, together, strict=True):
        where = f"of chain {chain.id!r}"
        subject.expect_array(spans.reasoning, (len(chain.reasoning_ids),), np.float32, rule, f"the reasoning {where}")
        subject.expect_array(spans.answer, (len(chain.answer_ids),), np.float32, rule, f"the answer {where}")
    turned = subject.ask(scorer.logprobs, chains[::-1])[::-1]
    for index, chain in enumerate(chains):
        alone = subject.ask(scorer.logprobs, [chain])[0]
        for other, how in ((alone, "alone"), (turned[index], "in another order")):
            message = f"chain {chain.id!r}, in a batch and {how}"
            subject.expect_equal(other.reasoning, together[index].reasoning, "any batch", message)
            subject.expect_equal(other.answer, together[index].answer, "any batch", message)
    none = subject.ask(scorer.logprobs, [])
    subject.expect(len(none) == 0, rule, f"no chains, {len(none)} answers")


def _steps(chain: TokenizedChain) -> list[tuple[list[int], list[tuple[int, ...]]]]:
    """Return steps of a pruning: what is kept, and the deletions that are tried."""
    count = len(chain.reasoning_ids)
    whole, later = list(range(count)), [position for position in range(count) if position != 1]
    return [
        (whole, [*((position,) for position in whole[:4]), (0, count - 1), (), tuple(whole)]),
        (later, [(later[-1],), (later[0],), ()]),
        (whole, [(), (count - 1,)]),  # a step that goes back
    ]


def check_deletions(subject: Subject) -> None:
    """Check that deletions score what the shortened chains score when they are read from scratch."""
    for chain in subject.chains:
        for objective in objectives_for(chain):
            for kept, candidates in _steps(chain):
                _check_step(subject, chain, kept, candidates, objective)
    chain, objective = subject.chains[0], objectives_for(subject.chains[0])[0]
    kept, candidates = _steps(chain)[0]
    none = subject.ask(subject.scorer.score_deletions, chain, kept, [], objective)
    for values in (none.objective, none.reasoning, none.answer):
        subject.expect_array(values, (0,), np.float64, "shapes of deletions", "the answer to no candidates")
    alone = subject.ask(subject.scorer.deletion_scores, chain, kept, candidates, objective)
    scores = subject.ask(subject.scorer.score_deletions, chain, kept, candidates, objective)
    subject.expect_equal(alone, scores.objective, "deletions", "deletion_scores and score_deletions differ")


def _check_step(
    subject: Subject, chain: TokenizedChain, kept: list[int], candidates: list[tuple[int, ...]], objective: Objective
) -> None:
    given = (list(kept), list(candidates))
    scores: DeletionScores = subject.ask(subject.scorer.score_deletions, chain, given[0], given[1], objective)
    subject.expect(given == (kept, candidates), "arguments stay as they are", "score_deletions changed its arguments")
    shape, rule = (len(candidates),), "shapes of deletions"
    reads_reasoning = Span.REASONING in objective.spans
    subject.expect_array(scores.objective, shape, np.float64, rule, "DeletionScores.objective")
    subject.expect_array(scores.answer, shape, np.float64, rule, "DeletionScores.answer")
    # Where the objective leaves the reasoning out, its likelihood may be NaN.
    filled = scores.reasoning if reads_reasoning else np.nan_to_num(scores.reasoning)
    subject.expect_array(filled, shape, np.float64, rule, "DeletionScores.reasoning")
    for index, candidate in enumerate(candidates):
        spans = subject.read(chain, [position for position in kept if position not in candidate])
        where = f"chain {chain.id!r} without {candidate}, objective {objective.name!r}"
        rule = "deletions" if candidate else "nothing deleted"
        message = f"{where}, scored and read from scratch"
        subject.expect_equal(scores.objective[index], objective.evaluate(spans)[0], rule, message)
        subject.expect_equal(scores.answer[index], spans.answer.double().sum(), rule, f"{message} (answer)")
        if reads_reasoning:
            reasoning = spans.reasoning.double().sum()
            subject.expect_equal(scores.reasoning[index], reasoning, rule, f"{message} (reasoning)")


def check_deletion_logprobs(subject: Subject) -> None:
    """Check that the log-probabilities after deletions are those of the shortened chains, token by token."""
    rule = "log-probabilities after deletions"
    for chain in subject.chains:
        for kept, candidates in _steps(chain):
            wanted = np.stack([_laid_out(subject.read(chain, _left(kept, each)), kept, each) for each in candidates])
            values = subject.ask(subject.scorer.deletion_logprobs, chain, kept, candidates)
            subject.expect_equal(values, wanted, rule, f"chain {chain.id!r}, scored and read from scratch")
    chain = subject.chains[0]
    kept, candidates = _steps(chain)[0][0], [(0,), (1,)]
    wanted = np.stack([_laid_out(subject.read(chain, _left(kept, each)), kept, each) for each in candidates])
    values = subject.ask(subject.scorer.deletion_logprobs, chain, kept, candidates, until=2)
    subject.expect_equal(values[:, :2], wanted[:, :2], rule, f"chain {chain.id!r}, read to its second token")


def _left(kept: Sequence[int], candidate: Sequence[int]) -> list[int]:
    return [position for position in kept if position not in candidate]


def _laid_out(spans: LogprobTensors, kept: Sequence[int], candidate: Sequence[int]) -> Any:
    """Return the log-probabilities at the places of what was kept, NaN where a token is deleted, then the answer."""
    row = np.full(len(kept) + spans.answer.shape[1], np.nan)
    row[[place for place, position in enumerate(kept) if position not in candidate]] = spans.reasoning[0].numpy()
    row[len(kept) :] = spans.answer[0].numpy()
    return row


def check_generation(subject: Subject) -> None:
    """Check the number of texts, that seed, prompt and nucleus decide them, and that special tokens are left out."""
    scorer, rule = subject.scorer, "generation"
    # Some reasoning makes the prompts unequally long.
    prompts = [chain.prompt_ids + chain.reasoning_ids[:index] for index, chain in enumerate(subject.chains)]
    greedy = subject.ask_anew(scorer.generate, prompts, max_new_tokens=6, n=2)
    sampled = [subject.ask(scorer.generate, prompts, max_new_tokens=6, n=3, temperature=1.0, seed=5) for _ in range(2)]
    for texts, n in ((greedy, 2), (sampled[0], 3)):
        right = len(texts) == len(prompts) and all(len(row) == n for row in texts)
        subject.expect(right, rule, f"{len(prompts)} prompts and n={n} must give {len(prompts)} lists of {n} texts")
        special = [token for token in getattr(scorer.tokenizer, "all_special_tokens", []) if token]
        for text in (text for row in texts for text in row):
            subject.expect(isinstance(text, str), rule, f"{text!r} is no text")
            shown = [token for token in special if token in text]
            subject.expect(not shown, "special tokens", f"{text!r} holds {', '.join(shown)}")
    subject.expect(all(row[0] == row[1] for row in greedy), rule, "at temperature 0 the texts of a prompt differ")
    subject.expect(sampled[0] == sampled[1], "one seed, one text", "the same seed gave other texts")
    whole, one = (
        subject.ask(scorer.generate, prompts, max_new_tokens=6, n=3, temperature=1.0, top_p=top_p, seed=5)
        for top_p in (1.0, 1e-6)
    )
    subject.expect(whole == sampled[0], "nucleus", "top_p=1 gave other texts than no top_p")
    only_likely = all(text == row[0] for row, texts in zip(greedy, one, strict=True) for text in texts)
    subject.expect(only_likely, "nucleus", "top_p=1e-6 gave other texts than temperature 0, which takes the top token")
    turned = subject.ask(scorer.generate, prompts[::-1], max_new_tokens=6, n=2)[::-1]
    subject.expect(turned == greedy, rule, "at temperature 0 a text depends on the other prompts")
    subject.expect(subject.ask(scorer.generate, []) == [], rule, "no prompts must give no texts")
