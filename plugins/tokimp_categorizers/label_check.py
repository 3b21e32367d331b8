"""How far a categorizer agrees with categories that are known."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from tokimp.chains.chain import CategorySpan, Chain
from tokimp.contracts.categorizer import Categorizer
from tokimp.errors import CategorizerError
from tokimp_categorizers.words import find_words

NOTHING = "(none)"


def confusion_matrix(chains: Sequence[Chain], categorizer: Categorizer) -> pd.DataFrame:
    """Return how often a categorizer gives each label to the words that are known to have a label.

    A word has the label of its first character. Words that are in no ``category`` span of their chain are left out.

    Parameters
    ----------
    chains
        Chains with known categories.
    categorizer
        The categorizer to check.

    Returns
    -------
    pandas.DataFrame
        Counts of words: a row for each known label, a column for each label of the categorizer, and the column
        `NOTHING` where it gave none.

    Raises
    ------
    CategorizerError
        If no chain has categories.
    """
    known: list[str] = []
    labelled: list[str] = []
    for chain in chains:
        if not chain.category:
            continue
        spans = tuple(categorizer.categorize(chain))
        for start, _, _ in find_words(chain.reasoning):
            known_label = _label_at(chain.category, start)
            if known_label is not None:
                known.append(known_label)
                labelled.append(_label_at(spans, start) or NOTHING)
    if not known:
        raise CategorizerError("no chain has categories to check against; give chains with 'category' spans")
    counts = pd.crosstab(pd.Series(known, name="known"), pd.Series(labelled, name="given"))
    labels = [*counts.index, *sorted(set(counts.columns) - set(counts.index))]
    return counts.reindex(columns=labels, fill_value=0)


def precision_and_recall(counts: pd.DataFrame) -> pd.DataFrame:
    """Return precision, recall and F1 of every known label of a `confusion_matrix`, and how many words have it.

    Precision is NaN for a label that the categorizer never gave.
    """
    right = pd.Series({label: counts.loc[label, label] for label in counts.index}, dtype=float)
    labelled = counts.sum(axis=0).reindex(counts.index).astype(float)
    support = counts.sum(axis=1)
    precision, recall = right / labelled.where(labelled > 0), right / support
    f1 = 2 * right / (labelled + support)
    return pd.DataFrame({"precision": precision, "recall": recall, "f1": f1, "words": support})


def _label_at(spans: Sequence[CategorySpan], place: int) -> str | None:
    """Return the label of the span that holds a character; ``None`` if none does."""
    return next((span.label for span in spans if span.start <= place < span.end), None)
