"""The sentence at the end of a table: what is told from chance, and what is not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import xarray as xr

from tokimp.report.number_texts import FEWEST_FOR_AN_INTERVAL, few_chains, number_text

LEVEL = 0.05
MOST_NAMED = 6


@dataclass(frozen=True, slots=True)
class Estimate:
    """One number of a table, and what is known of how far it lies from chance.

    Attributes
    ----------
    name
        What it is of, as the table calls it.
    value
        The number; NaN if there is none.
    low, high
        Ends of its interval; NaN if there is none.
    chance
        What it would be by chance; 0 for a difference.
    p_value
        The p-value, corrected for how many there are; NaN if the interval alone is to decide. Both must leave chance
        out.
    n_chains
        Number of chains it rests on; fewer than five tell nothing.
    """

    name: str
    value: float
    low: float
    high: float
    chance: float = 0.0
    p_value: float = math.nan
    n_chains: int = 1_000_000

    @classmethod
    def of(cls, name: str, node: xr.Dataset, prefix: str, n_chains: int, p_value: float = math.nan) -> Estimate:
        """Return a difference from chance that a node holds: its mean, and the ends of the mean's interval.

        Parameters
        ----------
        name
            What it is of.
        node
            The node, reduced to this one number; it holds ``PREFIX_mean``, ``PREFIX_low`` and ``PREFIX_high``.
        prefix
            What the variables' names begin with.
        n_chains, p_value
            As above.
        """
        value, low, high = (float(node[f"{prefix}_{end}"]) for end in ("mean", "low", "high"))
        return cls(name, value, low, high, 0.0, p_value, n_chains)

    def is_told(self) -> bool:
        """Return whether the number is told from chance."""
        if few_chains(self.n_chains) or not math.isfinite(self.value):
            return False
        if math.isfinite(self.p_value) and self.p_value >= LEVEL:
            return False
        # The interval has a say too: it takes account of skewness, which the p-value does not.
        return math.isfinite(self.low) and not self.low <= self.chance <= self.high

    def has_no_spread(self) -> bool:
        """Return whether the number differs from chance over enough chains, and has no interval."""
        is_known = math.isfinite(self.value) and not few_chains(self.n_chains)
        return is_known and math.isnan(self.low) and self.value != self.chance

    def is_chance_itself(self) -> bool:
        """Return whether the number is chance itself, over enough chains and with no interval: nothing was tested."""
        return not few_chains(self.n_chains) and math.isnan(self.low) and self.value == self.chance


def conclusion(estimates: Sequence[Estimate], what: str, *, correction: str = "") -> str:
    """Return a sentence that says which numbers are told from chance, which are not, and which are not known.

    Parameters
    ----------
    estimates
        The numbers of the table.
    what
        What they are: ``agreement beyond place``.
    correction
        How p-values were corrected, such as ``Holm over 24 comparisons``. Without it, the sentence calls several
        intervals exploratory, since one in twenty leaves chance out by accident.

    Examples
    --------
    >>> numbers = [Estimate("a", 0.4, 0.2, 0.6), Estimate("b", 0.1, -0.1, 0.3), Estimate("c", 0.0, -0.1, 0.1)]
    >>> conclusion(numbers, "gain")
    'Told from chance: gain of a (0.40). Not told from it: b and c. Exploratory: 3 intervals, not corrected.'
    """
    known = [estimate for estimate in estimates if math.isfinite(estimate.value)]
    if not known:
        return f"Nothing is known of {what}."
    told = sorted((e for e in known if e.is_told()), key=lambda estimate: -abs(estimate.value - estimate.chance))
    bare = [estimate for estimate in known if estimate.has_no_spread()]
    equal = [estimate for estimate in known if estimate.is_chance_itself()]
    few = [estimate for estimate in known if few_chains(estimate.n_chains)]
    apart = {*bare, *equal, *few}
    rest = [estimate for estimate in known if not estimate.is_told() and estimate not in apart]
    parts = []
    if told:
        named = _listed([f"{estimate.name} ({number_text(estimate.value)})" for estimate in told])
        parts.append(f"Told from chance: {what} of {named}.")
        parts.append(f"Not told from it: {_listed([e.name for e in rest])}." if rest else "")
    elif rest:
        parts.append(f"Not told from chance: {what} of {_listed([estimate.name for estimate in rest])}.")
    if bare:
        # All chains may have the same value, such as an AUROC of 1: no test says how far others lie from it.
        named = _listed([f"{estimate.name} ({number_text(estimate.value)})" for estimate in bare])
        parts.append(f"Without an interval, and so not told: {named if parts else f'{what} of {named}'}.")
    if equal:
        named = _listed([estimate.name for estimate in equal])
        parts.append(f"On every chain the same as chance: {named if parts else f'{what} of {named}'}.")
    if few:
        named = _listed([estimate.name for estimate in few])
        named = named if parts else f"{what} of {named}"
        parts.append(f"Over fewer than {FEWEST_FOR_AN_INTERVAL} chains, which tell nothing: {named}.")
    if len(few) == len(known):
        return " ".join(parts)
    if correction:
        parts.append(f"({correction}, level {LEVEL:g}.)")
    elif len(known) - len(few) > 1:
        parts.append(f"Exploratory: {len(known) - len(few)} intervals, not corrected.")
    return " ".join(part for part in parts if part)


def _listed(names: Sequence[str]) -> str:
    """Return names as a list in words; of many, the first ones and how many more there are."""
    shown, more = list(names[:MOST_NAMED]), len(names) - MOST_NAMED
    if more > 0:
        return f"{', '.join(shown)} and {more} more"
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else shown[0]
