"""Chains as a student is trained on them: the ids it reads, and which of them it is to write."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokimp.chain import Chain, Ids
from tokimp.datasets import SkippedRecord
from tokimp.errors import TokenizationError, TrainingError
from tokimp.prompt_format import PromptFormat
from tokimp.questions import question_key
from tokimp.tokenization import tokenize_chain


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One chain as ids.

    Attributes
    ----------
    id
        The chain's.
    input_ids
        Prompt, reasoning, answer and what ends the text, as the model reads them.
    prompt_length
        How many of them, from the start, are the prompt; the loss counts those after it only.
    question
        Text of the chain's question: chains of one question are held out together.
    """

    id: str
    input_ids: Ids
    prompt_length: int
    question: str = ""

    @property
    def labels(self) -> list[int]:
        """The ids, with -100, which no loss counts, for those of the prompt."""
        return [-100] * self.prompt_length + list(self.input_ids[self.prompt_length :])


def training_examples(
    chains: Sequence[Chain],
    tokenizer: Any,
    *,
    prompt_format: PromptFormat = "auto",
    max_length: int | None = None,
    left_out: list[SkippedRecord] | None = None,
) -> list[TrainingExample]:
    """Lay chains out for a student, as `tokimp.tokenize_chain` lays them out for a scorer.

    What ends the text is what the prompt format writes after the answer. The format ``plain`` writes nothing there:
    then it is the tokenizer's end-of-sequence token, without which a student would not learn to stop.

    Parameters
    ----------
    chains
        Their reasoning is text, so that it does not matter whose tokens it was shortened in: the student's tokenizer
        tokenises it anew.
    tokenizer
        The student's.
    prompt_format
        See `tokimp.tokenize_chain`.
    max_length
        Longer chains (tokens in all) are left out: cut off, they would teach a student not to answer.
    left_out
        They are added to this list.

    Raises
    ------
    TrainingError
        If the tokenizer has no token that ends a text and the format needs one; or if no chain is left.
    TokenizationError
        If a chain does not fit the prompt format.
    """
    examples = []
    left_out = [] if left_out is None else left_out
    for chain in chains:
        tokens = tokenize_chain(chain, tokenizer, prompt_format=prompt_format)
        ids = tokens.input_ids
        if tokens.prompt_format == "plain":
            ids += (_end_token(tokenizer),)
        if not tokens.prompt_ids:
            raise TokenizationError(f"{chain.where}: the prompt is empty, so there is nothing to answer")
        if max_length is not None and len(ids) > max_length:
            reason = f"{len(ids)} tokens, more than max_length={max_length}"
            left_out.append(SkippedRecord(where=chain.source or chain.where, id=chain.id, reason=reason))
            continue
        examples.append(TrainingExample(chain.id, ids, len(tokens.prompt_ids), chain.question))
    if not examples:
        why = (
            f"all {len(chains)} chains have more than {max_length} tokens; raise max_length" if chains else "no chains"
        )
        raise TrainingError(f"there is nothing to train on: {why}")
    return examples


def hold_out(
    examples: Sequence[TrainingExample], share: float, seed: int
) -> tuple[list[TrainingExample], list[TrainingExample]]:
    """Divide examples into those to train on and those of a share of the questions, which are held out, in their order.

    All chains of a question (`tokimp.questions.question_key`) are on one side: a student that has read one solution
    of a problem is not tested by another. A question's lot is a hash of the seed and its text, so that the same chain,
    shortened by another method, falls on the same side.

    Raises
    ------
    TrainingError
        If one side would be empty, as it is with a single question.
    """
    if not share:
        return list(examples), []
    keys = [question_key(each.question, each.id) for each in examples]
    lots = {key: hashlib.sha256(f"{seed} {key}".encode()).digest() for key in keys}
    count = max(1, round(share * len(lots)))
    if count >= len(lots):
        raise TrainingError(
            f"of {len(examples)} chains none is left to train on, since chains of one question stay together and there "
            f"are {len(lots)} different questions; give validation=0, or chains of more questions"
        )
    held = set(sorted(lots, key=lots.__getitem__)[:count])
    training: list[TrainingExample] = []
    validation: list[TrainingExample] = []
    for each, key in zip(examples, keys, strict=True):
        (validation if key in held else training).append(each)
    return training, validation


def _end_token(tokenizer: Any) -> int:
    token = getattr(tokenizer, "eos_token_id", None)
    if token is None:
        raise TrainingError(
            "the student's tokenizer has no end-of-sequence token, so it would not learn to stop; set "
            "tokenizer.eos_token, or use a prompt format that closes the turn (chat)"
        )
    return int(token)
