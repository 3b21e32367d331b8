"""Chains with one thing changed, so that a run of them can be compared with the run of the chains as they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from tokimp.chains.chain import Chain
from tokimp.chains.datasets.paraphrases import paraphrase
from tokimp.contracts.seeded import seeded_generator

UnitTexts = Callable[[Chain], Sequence[tuple[int, int]]]
"""Where each unit of a chain's reasoning begins and ends, in characters."""

_WORD = re.compile(r"[^\W\d_]{2,}")


def with_other_answers(chains: Sequence[Chain], seed: int) -> list[Chain]:
    """Return the chains with each other's answers: question and reasoning stay, and the answer is another chain's.

    Each chain gets the answer of the next chain, in an order drawn by the seed, whose answer differs from its own.
    Chains are left out if all answers are the same.

    Parameters
    ----------
    chains
        The chains.
    seed
        Draws the order.
    """
    order = seeded_generator(seed, "", "other answers").permutation(len(chains))
    changed: dict[int, Chain] = {}
    for place, index in enumerate(order):
        following = (chains[order[(place + step) % len(chains)]].answer for step in range(1, len(chains)))
        other = next((answer for answer in following if answer != chains[index].answer), None)
        if other is not None:
            changed[int(index)] = replace(chains[index], answer=other, gold=None, wrong_answer=None)
    return [changed[index] for index in sorted(changed)]


def with_paraphrased_questions(chains: Sequence[Chain], seed: int) -> list[Chain]:
    """Return those chains whose question can be asked in other words, with these; the reasoning stays as it is.

    Only word problems of tokimp's own have other words (`tokimp.chains.datasets.paraphrases`).
    """
    said = [(chain, paraphrase(chain.question, seed + number)) for number, chain in enumerate(chains)]
    return [replace(chain, question=question) for chain, question in said if question is not None]


def with_one_word_respelled(chains: Sequence[Chain], units: UnitTexts, seed: int) -> list[Chain]:
    """Return chains in which one word of the reasoning begins with the other case (``Then``, ``then``).

    The word is drawn among those whose change leaves every unit where it is, so that all other units can be compared.
    A chain without such a word is left out.

    Parameters
    ----------
    chains
        The chains.
    units
        Says where the units of a chain are.
    seed
        Draws the word.
    """
    changed = []
    for chain in chains:
        words = list(_WORD.finditer(chain.reasoning))
        before = units(chain)
        for index in seeded_generator(seed, chain.id, "respelled").permutation(len(words)):
            first = words[index].start()
            text = chain.reasoning
            other = replace(chain, reasoning=text[:first] + text[first].swapcase() + text[first + 1 :])
            # Some letters change their length with their case.
            if len(other.reasoning) == len(text) and other.reasoning != text and units(other) == before:
                changed.append(other)
                break
    return changed
