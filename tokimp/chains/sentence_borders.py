r"""Where a sentence ends: corrections to the segmenter for the habits of reasoning chains.

The segmenter (sentencex) knows the marks and abbreviations of many languages. It does not know factorials
(``7! ways``), units of measure (``80 lbs. of``), the numbers of list items, or a stop without a space after it
(``x=2.Then``).
All functions here read one line, in which mathematics and code are already words of the letter ``x``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

# Followed by what they belong to: a name, a number, an example.
_LEADING = frozenset(
    [
        "approx",
        "ca",
        "cf",
        "ch",
        "cor",
        "def",
        "e.g",
        "eq",
        "eqn",
        "eqns",
        "eqs",
        "ex",
        "fig",
        "figs",
        "i.e",
        "lem",
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "prop",
        "resp",
        "sec",
        "thm",
        "viz",
        "vol",
        "vs",
        "p",
        "pp",
        "no",
        "nos",
    ]
)
# Those of them that are also words, or ends of sentences, unless a number follows.
_LEADING_NUMBERS = frozenset(["ch", "cor", "def", "ex", "p", "pp", "prop", "sec", "vol", "no", "nos"])
_UNITS = frozenset(
    [
        "lb",
        "lbs",
        "oz",
        "ft",
        "yd",
        "yds",
        "mi",
        "hr",
        "hrs",
        "min",
        "mins",
        "sec",
        "secs",
        "gal",
        "gals",
        "qt",
        "qts",
        "pt",
        "pts",
        "mph",
        "wk",
        "wks",
        "mo",
        "mos",
        "yr",
        "yrs",
        "doz",
        "pc",
        "pcs",
        "tbsp",
        "tsp",
        "sq",
        "cu",
        "in",
        "km",
        "cm",
        "mm",
        "kg",
        "mg",
        "ml",
        "deg",
        "no",
    ]
)
# Units that are also words: a number must stand before them.
_WORDS_TOO = frozenset(["in", "min", "sec", "no", "mo", "deg"])
_OTHER = frozenset(
    [
        "a.m",
        "p.m",
        "am",
        "pm",
        "al",
        "etc",
        "inc",
        "ltd",
        "co",
        "corp",
        "dept",
        "est",
        "incl",
        "excl",
        "avg",
        "max",
        "num",
        "div",
        "assoc",
        "govt",
        "dist",
        "temp",
        "vert",
        "horiz",
        "perp",
        "ave",
        "blvd",
        "apt",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "sept",
        "oct",
        "nov",
        "dec",
        "mon",
        "tue",
        "tues",
        "wed",
        "thu",
        "thur",
        "thurs",
        "fri",
        "sat",
        "sun",
        "u.s",
        "u.k",
        "u.n",
        "ph.d",
    ]
)
_OPENERS = (
    "A|After|All|Also|An|And|Another|Any|As|At|Because|Both|But|By|Each|Finally|First|For|From|Given|Hence|Here|He|His|"
    "However|How|I|If|In|It|Its|Let|Let's|My|Next|No|Not|Note|Now|On|One|Or|Our|Second|She|Her|Since|So|Step|Substitute|"
    "Suppose|That|The|Their|Then|There|Therefore|These|They|This|Thus|To|Using|Wait|We|What|When|Where|Which|While|"
    "With|Yes|You"
)
_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_CLOSERS = re.compile(r"[\"'”’)\]}*_»」』）]+(?:\s+|$)")  # noqa: RUF001 - full-width marks are meant
_LAST_WORD = re.compile(r"(?:^|[\s(\[\"'“‘/-])((?:[^\W\d_]+\.)*[^\W\d_]+)\.$")  # noqa: RUF001 - quotation marks are meant
_LOWER = re.compile(r"[\"'“‘(*_]*[^\W\d_A-Z]")  # noqa: RUF001 - quotation marks are meant
_FACTORIAL = re.compile(r"(?:\d|[)\]]|\b[A-Za-z])!$")
_AFTER_FACTORIAL = re.compile(r"[a-z=+\-−*/×·÷<>≤≥≠^)]|\d+!")  # noqa: RUF001 - signs of mathematics are meant
_ENUMERATOR = re.compile(r"\s*(?:[-*•]\s+)?[(*_]*(?:\d{1,3}|[A-Za-z]|[ivx]{2,4})[.)]+[*_]*\s*$")
_NUMBERED = re.compile(r"\s*(?:[-*•]\s+)?[(*_]*(\d{1,3})\.[*_]*\s+(?=\S)")

# Ends that the segmenter misses.
_MISSED = (
    # A stop without a space after it: x=2.Then, 共有5个.小明
    re.compile(rf"(?<=[\d)\]}}%])[.!?](?=(?:[A-Z][a-z]+|I|A)[\s,])|(?<=[a-z)\]])[.!?](?=(?:{_OPENERS})[\s,])"),
    re.compile(rf"(?<![.\s])[.!?](?=\s*[{_CJK}])(?<=[{_CJK}\d)\]a-z%][.!?])"),
    # Is it? (Yes.) See
    re.compile(r"(?<=[a-z\d?!])[.!?][)\]\"'”’]+\s+(?=[\"'“‘(]*[A-Z])|[?!][)\]\"'”’]*\s+(?=[(\[][A-Z])"),  # noqa: RUF001
    # The answer is no. 5 more / Answer: no. 5
    re.compile(
        r"\b(?:is|was|be|are|says?|said|answer|means|so|thus|hence|therefore|clearly|obviously|definitely|course|either|or|"
        r"just|simply|still|also|again|then)(?:\s*[:,;-])?\s+[\"'“‘*_]*no[\"'”’*_]*\.[\"'”’*_]*\s+(?=\d)",  # noqa: RUF001
        re.IGNORECASE,
    ),
    re.compile(r"(?:^\s*|[.!?][\"'”’)]*\s+)[Nn]o\.\s+(?=[^\W\d])|\?\s+[Nn]o\.\s+(?=\d)"),  # noqa: RUF001
)


# Ends that the segmenter may miss, since it does not look into brackets, and takes a letter for an initial (x. The).
_LIKELY = re.compile(rf"(?<=[\d)\]}}%])[.!?]\s+(?=[A-Z])|[.!?]\s+(?=(?:{_OPENERS})[\s,])(?!A\s|I\s)")
# What stands at the end of a sentence: marks of any script, but none that stand between what belongs together.
_BETWEEN = frozenset(",*/%&#@\\:'\"")


def may_end(sentence: str) -> bool:
    """Whether a text ends with a mark that can end a sentence, before marks that close it and white space."""
    last = sentence.rstrip().rstrip("\"'”’)]}*_»」』）")[-1:]  # noqa: RUF001 - full-width marks are meant
    return bool(last) and unicodedata.category(last) == "Po" and last not in _BETWEEN


def likely_ends(line: str) -> Iterator[int]:
    """Yield where a sentence may end beside the places that the segmenter names."""
    for match in _LIKELY.finditer(line):
        yield match.end()


def missed_ends(line: str) -> Iterator[int]:
    """Yield where sentences end that the segmenter takes for one."""
    for pattern in _MISSED:
        for match in pattern.finditer(line):
            yield match.end()


def after_closers(line: str, end: int) -> int:
    """Return the end of a sentence after the marks that close it: ``**Step 1.**``, a quotation mark, a bracket."""
    match = _CLOSERS.match(line, end)
    return match.end() if match is not None else end


def goes_on(line: str, begin: int, end: int) -> bool:
    """Whether a sentence that seems to end goes on.

    Parameters
    ----------
    line
        The line.
    begin, end
        Where the sentence begins, and where it seems to end.
    """
    sentence, rest = line[begin:end].rstrip(), line[end:].lstrip()
    if not sentence or not rest:
        return True
    if sentence.endswith(("...", "…")):
        # Three dots are a pause, unless a capital follows.
        return _LOWER.match(rest) is not None or not (line[end - 1].isspace() and rest[0].isalpha()) or _is_cjk(rest[0])
    numbers_an_item = _ENUMERATOR.match(line[begin:end]) is not None and not line[:begin].rstrip().endswith("?")
    return (
        numbers_an_item
        or sentence.endswith(("\\left.", "\\right."))
        # Without white space a name goes on (math.Floor), unless its script writes none.
        or not (line[end - 1].isspace() or (rest[0].isalpha() and not rest[0].isascii()))
        or (_FACTORIAL.search(sentence) is not None and _AFTER_FACTORIAL.match(rest) is not None)
        # "Go." he said
        or (sentence[-1] in "\"'”’" and rest[0].islower())  # noqa: RUF001 - quotation marks are meant
        # Mathematics that ends with a stop, in the middle of a sentence.
        or (sentence.endswith("xxx.") and re.match(r"[a-z]{2}", rest) is not None)
        or _is_abbreviated(sentence, rest)
    )


def _is_abbreviated(sentence: str, rest: str) -> bool:
    """Whether a sentence seems to end because of the stop of an abbreviation."""
    match = _LAST_WORD.search(sentence)
    if match is None:
        return False
    word = match.group(1).lower()
    lower = _LOWER.match(rest) is not None
    number = re.match(r"[(\[#$]?\d|x{3}", rest) is not None
    if word in _LEADING and word not in _LEADING_NUMBERS:
        return True
    if word in _LEADING_NUMBERS and number and not (word == "no" and match.group(1) == "no"):
        return True
    counted = re.search(r"[\dx]\s*$", sentence[: match.start(1)]) is not None
    if word in _UNITS and (counted or word not in _WORDS_TOO):
        return lower
    if word == "al":
        return lower or number
    return lower and (word in _OTHER or (len(word) > 1 and not re.search(r"[aeiouyx.]|[^a-z]", word)))


def _is_cjk(character: str) -> bool:
    return re.match(f"[{_CJK}]", character) is not None


def value_before_stop(line: str, previous: str) -> int | None:
    """Return where a number that opens a line ends as a sentence of its own; ``None`` if it numbers a list item.

    A number that opens a line and has a stop after it numbers an item, unless the line before breaks off in the middle
    of a sentence (``The sum is``, then ``12. Then we go.``).

    Parameters
    ----------
    line
        The line.
    previous
        The line before it; empty where there is none.
    """
    match = _NUMBERED.match(line)
    if match is None or match.group(1) == "1" or not previous.strip():
        return None
    last = previous.rstrip().rstrip("*_\"'”’)]")[-1:]  # noqa: RUF001 - quotation marks are meant
    breaks_off = last.isalpha() or last in {"=", ",", "+", "-", "*", "×", "≈", "$"}  # noqa: RUF001 - signs of mathematics
    return match.end() if breaks_off and _NUMBERED.match(previous) is None else None


def has_words(text: str) -> bool:
    """Whether a text has a letter or a digit; one of symbols alone (``$$``, ``---``) is no sentence."""
    return any(unicodedata.category(character)[0] in "LN" for character in text)
