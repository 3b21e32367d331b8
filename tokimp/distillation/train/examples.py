"""Chains as a student is trained on them: the ids it reads, and which of them it is to write."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from tokimp.chains.chain import Chain
from tokimp.chains.datasets import SkippedRecord
from tokimp.chains.prompt_format import PromptFormat
from tokimp.chains.questions import question_key
from tokimp.chains.tokenization import tokenize_chain
from tokimp.contracts.trainer import TrainingExample
from tokimp.errors import TokenizationError, TrainingError

_LOTS = 2**64


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

    Each one's lot is a hash of the seed and its question (`tokimp.chains.questions.question_key`), held out where it lies
    below the share: chains of one question fall on the same side, and so does a chain shortened by another method,
    whichever others are left out or added. So the number held out is the share only about.

    Parameters
    ----------
    examples
        What is divided.
    share
        Of the questions to hold out, on average; 0 for none.
    seed
        Of the lots.

    Raises
    ------
    TrainingError
        If one side would be empty, as it is with a single question.
    """
    if not share:
        return list(examples), []
    training: list[TrainingExample] = []
    held: list[TrainingExample] = []
    for each in examples:
        (held if _lot(question_key(each.question, each.id), seed) < share * _LOTS else training).append(each)
    if not training or not held:
        missing = "left to train on" if not training else "held out"
        raise TrainingError(
            f"of {len(examples)} chains none is {missing} by validation={share} and validation_seed={seed}; give more "
            "chains, another validation_seed, or validation=0"
        )
    return training, held


def _lot(question: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {question}".encode()).digest()[:8], "big")


def _end_token(tokenizer: Any) -> int:
    token = getattr(tokenizer, "eos_token_id", None)
    if token is None:
        raise TrainingError(
            "the student's tokenizer has no end-of-sequence token, so it would not learn to stop; set "
            "tokenizer.eos_token, or use a prompt format that closes the turn (chat)"
        )
    return int(token)
