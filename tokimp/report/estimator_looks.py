"""The look of an estimator in every figure and page: hue, dashes and marker go by its label, not by its place in a run.

An estimator looks the same whatever other estimators a run has. Figures and the explorer both take looks from here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8B6F47")
"""Okabe and Ito's colours, with brown for their yellow, which is not read on white. Colour-blind readers tell them
apart. The explorer's style sheet has the same hues under the same numbers, lighter where the page is dark."""

MARKERS = "osD^vPX*<>hd"
N_DASHES = 4

# The estimators that come with tokimp, so that no two of them look alike. The first eight, which are compared most
# often, have a hue each. Other names get a look by their digest. New names are added at the end: a place once given
# to a name stays, or the figures of two versions would differ in colour.
_NAMES = (
    *("greedy", "leave_one_out", "attention", "gradient", "surprisal", "context_cite", "position", "uniform"),
    *("shapley", "attention_knockout", "h2o", "value_zeroing", "cts", "information_flow", "entropy", "llmlingua"),
    *("resample", "suppression", "snapkv", "keydiff", "first_token", "tova", "surrogate", "receiver_heads"),
    *("pivotal", "at2", "expected_attention"),
)
_PLACES = {name: place for place, name in enumerate(_NAMES)}


@dataclass(frozen=True, slots=True)
class Look:
    """How an estimator looks.

    Attributes
    ----------
    hue
        Number of its colour in `HUES`.
    dashes
        Number of its kind of line: 0 solid, 1 dashed, 2 dotted, 3 dashed and dotted.
    marker
        Its marker, as matplotlib names it.
    """

    hue: int
    dashes: int
    marker: str

    @property
    def colour(self) -> str:
        """The colour, as a hexadecimal code."""
        return HUES[self.hue]


def look_of(label: str) -> Look:
    """Return the look of an estimator by its label.

    Labels of one estimator with other parameters, such as ``greedy`` and ``greedy:keep_ratio=0.7``, share the hue.

    Examples
    --------
    >>> look_of("greedy").colour
    '#0072B2'
    >>> look_of("greedy:keep_ratio=0.7").hue == look_of("greedy").hue
    True
    >>> look_of("greedy:keep_ratio=0.7") == look_of("greedy")
    False
    """
    name, _, parameters = label.partition(":")
    place = _PLACES[name] if name in _PLACES else _digest(name)
    turn, hue = divmod(place, len(HUES))
    marker = hue + turn
    turn %= N_DASHES
    if parameters:
        digest = _digest(parameters)
        turn = (turn + 1 + digest % (N_DASHES - 1)) % N_DASHES
        marker += 1 + digest // N_DASHES % (len(MARKERS) - 1)
    return Look(hue, turn, MARKERS[marker % len(MARKERS)])


def _digest(text: str) -> int:
    """Return a whole number that depends on the text alone, in every process and version of Python."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()[:4], "big")
