"""Turn chains into what a student is trained on: the ids it reads, and which of them it learns to write."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from tokimp.chains.chain import Chain
from tokimp.chains.datasets import SkippedRecord
from tokimp.chains.prompt_format import PromptFormat
from tokimp.chains.questions import question_key
from tokimp.chains.think_tags import ThinkTags
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.contracts.trainer import TrainingExample
from tokimp.errors import TokenizationError, TrainingError

_LOTS = 2**64


def training_examples(
    chains: Sequence[Chain],
    tokenizer: Any,
    *,
    prompt_format: PromptFormat = "auto",
    think_tags: ThinkTags | None = None,
    max_length: int | None = None,
    left_out: list[SkippedRecord] | None = None,
) -> list[TrainingExample]:
    """Lay chains out for a student, as `tokimp.tokenize_chain` lays them out for a scorer.

    A text ends in what the prompt format writes after the answer. The format ``plain`` writes nothing there, so the
    tokenizer's end-of-sequence token is added: without it a student would not learn to stop.

    Parameters
    ----------
    chains
        What the student learns. Their reasoning is text, tokenised anew by the student's tokenizer, so that it does not
        matter in whose tokens it was shortened.
    tokenizer
        The student's.
    prompt_format, think_tags
        See `tokimp.tokenize_chain`.
    max_length
        Chains with more tokens in all are left out: cut off, they would teach a student not to answer.
    left_out
        A list to which such chains are added.

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
        tokens = tokenize_chain(chain, tokenizer, prompt_format=prompt_format, think_tags=think_tags)
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
    """Divide examples into those to train on and those held out, each in their order.

    A hash of the seed and the question (`tokimp.chains.questions.question_key`) decides: an example is held out if its
    hash, as a fraction of the largest, lies below the share. Chains of one question fall on the same side, however they
    were shortened and whichever others are left out or added. The share is therefore met only on average.

    Parameters
    ----------
    examples
        What is divided.
    share
        Share of the questions to hold out, on average; 0 for none.
    seed
        Seed of the hashes.

    Raises
    ------
    TrainingError
        If one side would be empty, as it is with a single question.
    """
    if not share:
        return list(examples), []
    training: list[TrainingExample] = []
    held: list[TrainingExample] = []
    for example in examples:
        is_held = _lot(question_key(example.question, example.id), seed) < share * _LOTS
        (held if is_held else training).append(example)
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
