"""What gets one category: a number, a word, a sign; and how far two ways to label a text agree on these."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pandas as pd

from tokimp.chains.chain import CategorySpan, Chain
from tokimp.contracts.categorizer import Categorizer
from tokimp.errors import CategorizerError

NOTHING = "(none)"
# A number with its decimals and thousands, a LaTeX command, a word with its apostrophe, or one sign.
_PIECE = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?|\\[A-Za-z]+|[^\W\d_]+(?:['\u2019][^\W\d_]+)?|[^\s\w]|[\d_]")


def pieces(text: str) -> Iterator[tuple[int, int, str]]:
    r"""Yield start, end and text of each number, word, LaTeX command and sign; together they are all but the spaces.

    >>> [piece for _, _, piece in pieces("Ann's 1,200.5-3 \\times x")]
    ["Ann's", '1,200.5', '-', '3', '\\times', 'x']
    """
    for match in _PIECE.finditer(text):
        yield match.start(), match.end(), match.group()


def confusion_matrix(chains: Sequence[Chain], categorizer: Categorizer) -> pd.DataFrame:
    """Return how often a categorizer gives a piece each label, for each label that the piece is known to have.

    Pieces that are in no ``category`` span of their chain are left out. A piece has the label of its first character.

    Parameters
    ----------
    chains
        With the categories that are known.
    categorizer
        What is checked.

    Returns
    -------
    pandas.DataFrame
        Counts of pieces; a row for each known label, a column for each label given, `NOTHING` where none was.

    Raises
    ------
    CategorizerError
        If no chain has categories.
    """
    known: list[str] = []
    given: list[str] = []
    for chain in chains:
        if not chain.category:
            continue
        spans = tuple(categorizer.categorize(chain))
        for start, _, _ in pieces(chain.reasoning):
            truth = _label_at(chain.category, start)
            if truth is not None:
                known.append(truth)
                given.append(_label_at(spans, start) or NOTHING)
    if not known:
        raise CategorizerError("no chain has categories to check against; give chains with 'category' spans")
    counts = pd.crosstab(pd.Series(known, name="known"), pd.Series(given, name="given"))
    labels = [*counts.index, *sorted(set(counts.columns) - set(counts.index))]
    return counts.reindex(columns=labels, fill_value=0)


def precision_and_recall(counts: pd.DataFrame) -> pd.DataFrame:
    """Return precision, recall and F1 of every known label of a `confusion_matrix`, and how many pieces have it.

    Precision is NaN for a label that was never given.
    """
    right = pd.Series({label: counts.loc[label, label] for label in counts.index}, dtype=float)
    said = counts.sum(axis=0).reindex(counts.index).astype(float)
    support = counts.sum(axis=1)
    precision, recall = right / said.where(said > 0), right / support
    f1 = 2 * right / (said + support)
    return pd.DataFrame({"precision": precision, "recall": recall, "f1": f1, "pieces": support})


def _label_at(spans: Sequence[CategorySpan], place: int) -> str | None:
    return next((span.label for span in spans if span.start <= place < span.end), None)
