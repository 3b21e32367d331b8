"""The same word problem, asked in other words."""

from __future__ import annotations

import random
import re

from tokimp.chains.datasets.word_problem_words import BOYS

# Each group says one thing in several ways, with the words S (who), F (who else), n (how many) and obj (what).
_GROUPS: tuple[tuple[str, ...], ...] = (
    ("{F} gives {him} {n}.", "{F} brings {him} {n} more.", "{He} gets {n} from {F}."),
    ("{He} gives {n} to {F}.", "{F} takes {n} of them."),
    ("How many {obj} does {S} have now?", "How many {obj} are left?"),
)
_GIVEN = re.compile(r"\b(\w+) has (\d+) (\w+)\.")
_SENTENCE = re.compile(r"[^\s.?][^.?]*[.?]")


def paraphrase(question: str, seed: int) -> str | None:
    """Return a question of `tokimp.chains.datasets.word_problems` in other words of the same problems.

    What happens, the numbers and the names stay, so the reasoning and the answer stay right.

    Parameters
    ----------
    question
        The question.
    seed
        Draws the words, where there are several others.

    Returns
    -------
    str or None
        ``None`` if the question is not of these problems, or no sentence of it can be said otherwise.

    Examples
    --------
    >>> paraphrase("At home, Tom has 9 pens. Anna gives him 3. How many pens are left?", seed=0)
    'At home, Tom has 9 pens. He gets 3 from Anna. How many pens does Tom have now?'
    """
    given = _GIVEN.search(question)
    if given is None:
        return None
    subject, _, things = given.groups()
    is_boy = subject in BOYS
    words = {"He": "He" if is_boy else "She", "him": "him" if is_boy else "her", "S": subject, "obj": things}
    rng = random.Random(seed)  # noqa: S311  # words, not secrets
    said = _SENTENCE.sub(lambda sentence: _otherwise(sentence.group(), words, rng), question)
    return said if said != question else None


def _otherwise(sentence: str, words: dict[str, str], rng: random.Random) -> str:
    """Return a sentence in other words; itself if there are none for it."""
    for group in _GROUPS:
        for template in group:
            if match := re.fullmatch(_pattern(template, words), sentence):
                others = [other for other in group if other != template]
                return rng.choice(others).format(**words, **match.groupdict())
    return sentence


def _pattern(template: str, words: dict[str, str]) -> str:
    """Return the pattern of a sentence, with groups for the name F and the number n."""
    pattern = re.escape(template.format(**words, F="FF", n="NN"))
    return pattern.replace("FF", r"(?P<F>[A-Z]\w+)").replace("NN", r"(?P<n>\d+)")
