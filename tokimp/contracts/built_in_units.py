"""The units that come with tokimp: tokens, words, sentences, lines, paragraphs, steps and equations."""

from __future__ import annotations

from collections.abc import Sequence

from tokimp.chains.equations import equation_starts
from tokimp.chains.sentences import sentence_starts
from tokimp.chains.text_layout import line_starts, paragraph_starts, step_starts
from tokimp.chains.units import Offsets
from tokimp.chains.words import word_starts
from tokimp.contracts.constraints import Text
from tokimp.contracts.unit_splitter import TextUnitSplitter, UnitSplitter


class TokenUnit(UnitSplitter):
    """Each token is a unit of its own."""

    name = "token"

    def split(self, text: str, offsets: Offsets) -> Sequence[Sequence[int]]:
        """Return each token's position alone."""
        return [(position,) for position in range(len(offsets))]


class WordUnit(TextUnitSplitter):
    """Words: runs without white space, and Unicode's words in scripts that write none (Chinese, Japanese, Thai).

    Borders are those of version 0.1.0 wherever words are written with white space between them, so the version is
    still the first; a chain of another script has other units than then, which its own digest in a run tells.
    """

    name = "word"

    def starts(self, text: str) -> Sequence[int]:
        """Return where each word begins."""
        return word_starts(text)


class SentenceUnit(TextUnitSplitter):
    """Sentences: as sentencex divides each line, with mathematics and code kept whole.

    Parameters
    ----------
    language
        The language whose abbreviations and marks count, as a code such as ``de``; ``auto`` goes by the script, and
        takes English for Latin letters.
    """

    name = "sentence"
    version = 2
    constraints = {"language": Text("a language's code, such as 'de', or 'auto'")}

    def __init__(self, language: str = "auto") -> None:
        self.language = language

    def starts(self, text: str) -> Sequence[int]:
        """Return where each sentence begins."""
        return sentence_starts(text, self.language)


class LineUnit(TextUnitSplitter):
    """Lines with something on them; a block of mathematics or code is on one line."""

    name = "line"

    def starts(self, text: str) -> Sequence[int]:
        """Return where each line begins."""
        return line_starts(text)


class ParagraphUnit(TextUnitSplitter):
    """Paragraphs: what blank lines part."""

    name = "paragraph"

    def starts(self, text: str) -> Sequence[int]:
        """Return where each paragraph begins."""
        return paragraph_starts(text)


class StepUnit(TextUnitSplitter):
    """Steps: what the text numbers (``Step 2:``, ``2. Add``); without numbers its paragraphs, or its lines."""

    name = "step"

    def starts(self, text: str) -> Sequence[int]:
        """Return where each step begins."""
        return step_starts(text)


class EquationUnit(TextUnitSplitter):
    """Equations, each a unit, and the sentences or parts of sentences between them."""

    name = "equation"

    def starts(self, text: str) -> Sequence[int]:
        """Return where each equation and each text between equations begins."""
        return equation_starts(text)
