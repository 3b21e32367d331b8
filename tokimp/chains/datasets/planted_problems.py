"""Word problems whose reasoning holds text that is of no use, of kinds that are harder to tell than filler.

Filler (`tokimp.chains.datasets.word_problems`) shares no word with what matters. The kinds here do: a method that finds
useless text by its words, its numbers or its names does not find these.

>>> from collections import Counter
>>> chains = planted_problems(8, seed=0)
>>> sorted(Counter(kind for chain in chains for kind in chain.filler_kinds if kind != "filler"))
['corrected_number', 'distractor', 'repeated_step', 'unused_step']
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tokimp.chains.chain import CategorySpan, Chain
from tokimp.chains.datasets.word_problem_words import (
    BOYS,
    COMPARISONS,
    DISTRACTORS,
    GIRLS,
    PIECE,
    SENTENCE,
    WRONG,
    Span,
)
from tokimp.chains.datasets.word_problems import LARGEST, Problem, Split, generate

FILLER = "filler"
KINDS = ("unused_step", "repeated_step", "distractor", "corrected_number")
"""The kinds that are planted here, in the order in which chains get them."""

_STEP = re.compile(r"(\d+)([-+*/])(\d+)=(\d+)")
_START = re.compile(r"\b(\w+) has (\d+) (\w+)\.")


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence of the reasoning: its text, where it stood in the problem's, and of what kind it is if planted."""

    text: str
    start: int | None = None
    kind: str = ""


def planted_problems(n: int, seed: int = 0, *, kinds: Sequence[str] = KINDS, split: Split = "test") -> list[Chain]:
    """Return word problems as chains, each with text of one kind planted in its reasoning beside its filler.

    - ``unused_step``: a step that is right, with numbers from the question, whose result is used by nothing;
    - ``repeated_step``: a step that was stated before, word for word;
    - ``distractor``: a sentence that names the right person and things, and says nothing of their number;
    - ``corrected_number``: a step with a wrong result, and that it is wrong; the right step follows.

    Parameters
    ----------
    n
        The number of chains.
    seed
        The same seed and settings give the same chains.
    kinds
        The kinds to plant, one a chain, in turn.
    split
        Test problems are those that the embedded model was not trained on.

    Returns
    -------
    list of Chain
        Ids ``planted-000``, ...; `Chain.filler` and `Chain.filler_kinds` say what is of no use, and of what kind.

    Raises
    ------
    ValueError
        If a kind is not one of `KINDS`.
    """
    if not kinds or not set(kinds) <= set(KINDS):
        raise ValueError(f"kinds must be drawn from {', '.join(KINDS)}, not {tuple(kinds)}")
    rng = random.Random(f"planted {seed}")  # noqa: S311  # problems, not secrets
    chains: list[Chain] = []
    # Not every problem has a place for every kind, so some are passed over.
    for problem in generate(2 * n + 8, seed, split=split):
        if len(chains) == n:
            break
        planted = _plant(problem, kinds[len(chains) % len(kinds)], rng)
        if planted is not None:
            question, sentences = planted
            chains.append(_chain(f"planted-{len(chains):03d}", problem, question, sentences))
    return chains


def _plant(problem: Problem, kind: str, rng: random.Random) -> tuple[str, list[_Sentence]] | None:
    """Return question and sentences of a problem with text of a kind planted; ``None`` if it has no place for it."""
    sentences = [
        _Sentence(match.group(), match.start(), FILLER if match.span() in problem.filler else "")
        for match in SENTENCE.finditer(problem.reasoning)
    ]
    steps = [index for index, sentence in enumerate(sentences) if _STEP.search(sentence.text)]
    if kind == "unused_step":
        return _with_unused_step(problem, sentences, steps, rng)
    step = rng.choice(steps)
    if kind == "repeated_step":
        # After the step itself or a later one, but before the conclusion.
        place, planted = rng.choice([later for later in steps if later >= step]) + 1, sentences[step].text
    elif kind == "corrected_number":
        place, planted = step, f"{_with_wrong_result(sentences[step].text, rng)} {WRONG}"
    else:
        words = _words(problem, rng)
        place, planted = rng.randrange(len(sentences)), rng.choice(DISTRACTORS).format(**words)
    return problem.question, [*sentences[:place], _Sentence(planted, None, kind), *sentences[place:]]


def _with_unused_step(
    problem: Problem, sentences: list[_Sentence], steps: list[int], rng: random.Random
) -> tuple[str, list[_Sentence]] | None:
    # There two people's amounts are added, so a third one's would ask for another answer.
    if "in total" in problem.question:
        return None
    words = _words(problem, rng)
    asked = [match.group() for match in SENTENCE.finditer(problem.question)]
    at_start = rng.random() < 0.5
    value = int(words["v"] if at_start else problem.gold)
    operator = "+" if value <= LARGEST - 20 else "-"
    number = rng.randint(2, min(20, value - 1) if operator == "-" else 20)
    result = value + number if operator == "+" else value - number
    told = words | {"v": str(value), "n": str(number), "w": str(result)}
    in_question, in_reasoning = (template.format(**told) for template in COMPARISONS[operator])
    # It is said of the amount at the start or at the end, so that the numbers are right wherever it stands.
    asked.insert(1 if at_start else len(asked), in_question)
    place = steps[0] if at_start else steps[-1] + 1
    ending = problem.question[problem.question.rindex("How many") :]
    planted = _Sentence(in_reasoning, None, "unused_step")
    return " ".join([*asked, ending]), [*sentences[:place], planted, *sentences[place:]]


def _with_wrong_result(sentence: str, rng: random.Random) -> str:
    """Return a step with another result, of one or two digits."""
    match = _STEP.search(sentence)
    assert match is not None  # noqa: S101 - steps are sentences that match
    right = int(match[4])
    wrong = rng.choice([w for d in (-10, -2, -1, 1, 2, 10) if 1 <= (w := right + d) <= LARGEST])
    return sentence[: match.start(4)] + str(wrong) + sentence[match.end(4) :]


def _words(problem: Problem, rng: random.Random) -> dict[str, str]:
    """Return the words of a problem that a planted sentence takes up, and a name that the problem does not use."""
    match = _START.search(problem.question)
    assert match is not None  # noqa: S101 - every question says who has what
    subject, value, things = match.groups()
    others = [name for name in BOYS + GIRLS if not re.search(rf"\b{name}\b", problem.question)]
    return {
        "S": subject,
        "v": value,
        "obj": things,
        "F": rng.choice(others),
        "him": "him" if subject in BOYS else "her",
    }


def _chain(chain_id: str, problem: Problem, question: str, sentences: list[_Sentence]) -> Chain:
    reasoning, category, spans, kinds = "", list[CategorySpan](), list[Span](), list[str]()
    for sentence in sentences:
        begin = len(reasoning) + (1 if reasoning else 0)
        reasoning += (" " if reasoning else "") + sentence.text
        if sentence.kind:
            spans.append((begin, len(reasoning)))
            kinds.append(sentence.kind)
        category += [CategorySpan(start, end, label) for start, end, label in _labels(problem, sentence, begin)]
    return Chain(
        id=chain_id,
        question=question,
        reasoning=reasoning,
        answer=problem.answer,
        gold=problem.gold,
        category=tuple(category),
        filler=tuple(spans),
        filler_kinds=tuple(kinds),
    )


def _labels(problem: Problem, sentence: _Sentence, begin: int) -> list[tuple[int, int, str]]:
    """Return the categories of a sentence's words at its new place; all of what is planted is meta-discourse."""
    if sentence.start is None:
        return [(begin + m.start(), begin + m.end(), "meta_discourse") for m in PIECE.finditer(sentence.text)]
    moved, last = begin - sentence.start, sentence.start + len(sentence.text)
    return [
        (start + moved, end + moved, label)
        for start, end, label in problem.categories
        if sentence.start <= start < last
    ]
