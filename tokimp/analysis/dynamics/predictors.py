"""The names of the predictions that the dynamics compare: three references, and the other estimators of the result."""

from __future__ import annotations

from collections.abc import Sequence

REFERENCES = LOCAL, FROZEN, RANDOM = "local", "frozen", "random"


def predictor_names(labels: Sequence[str], path: str) -> dict[str, str]:
    """Return what the prediction of each estimator is called, by its label; the path's own estimator predicts nothing.

    It is called by the label. A label that a reference has too is preceded by ``estimator``.

    Parameters
    ----------
    labels
        Labels of the estimators of a result.
    path
        The label of the estimator whose path is predicted.

    Examples
    --------
    >>> predictor_names(["greedy", "random", "attention"], "greedy")
    {'random': 'estimator random', 'attention': 'attention'}
    """
    taken = {*REFERENCES, *labels}
    names = {}
    for label in labels:
        if label == path:
            continue
        names[label] = label
        if label in REFERENCES:
            while names[label] in taken:
                names[label] = f"estimator {names[label]}"
    return names
