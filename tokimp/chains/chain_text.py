"""The text of a chain in pieces, each of which is tokenised on its own.

A piece is either *markup*, written by the model's chat template, in which control strings such as ``<|im_end|>`` are
control tokens; or *data*, taken from a chain, in which they are text like any other.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """A text that is tokenised on its own.

    Attributes
    ----------
    text
        The text.
    markup
        Whether control strings in it are control tokens.
    """

    text: str
    markup: bool


@dataclass(frozen=True, slots=True)
class ChainText:
    """The texts around a chain's reasoning and answer.

    Attributes
    ----------
    format
        ``chat``, ``think`` or ``plain``.
    prompt
        Everything before the reasoning.
    before_answer
        What stands between reasoning and answer. Data is tokenised together with the answer, markup apart from it.
    after_answer
        What closes the turn.
    leading_ids
        Whether the ids that the tokenizer itself puts before a text (a BOS) open the prompt.
    """

    format: str
    prompt: tuple[Piece, ...]
    before_answer: Piece
    after_answer: Piece
    leading_ids: bool

    def answer(self, text: str) -> tuple[Piece, ...]:
        """Return the pieces of the answer span for an answer: what precedes it, the answer, what closes the turn."""
        if self.before_answer.markup:
            pieces = [self.before_answer, Piece(text, markup=False), self.after_answer]
        else:
            pieces = [Piece(self.before_answer.text + text, markup=False), self.after_answer]
        return tuple(piece for piece in pieces if piece.text)

    def pieces(self, reasoning: str, answer: str) -> tuple[Piece, ...]:
        """Return all pieces of the sequence, in order."""
        return (*self.prompt, Piece(reasoning, markup=False), *self.answer(answer))
