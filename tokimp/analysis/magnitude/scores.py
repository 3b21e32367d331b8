"""What is computed from an order's responses and the sizes of its importances: areas, monotonicity, correlation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.integrate import trapezoid

from tokimp.analysis.statistics.rank_measures import is_constant, mean_ranks, pearson
from tokimp.chains.arrays import FloatArray, IntArray

FEWEST_UNITS = 3
"""In a chain of two units every rank correlation is 1 or -1."""


@dataclass(frozen=True, slots=True)
class Areas:
    """The area below the plain response of the measure, and below the one that is corrected by magnitude."""

    response: float
    mas: float


@dataclass(frozen=True, slots=True)
class Responses:
    """What an order's versions of a chain measure.

    Attributes
    ----------
    counts
        How many units are there, ascending from none to all, [step].
    ascending, descending
        The measure with so many of the least, and of the most important units, [step].
    single
        The measure without each unit, [unit].
    full
        The measure of the full chain.
    """

    counts: IntArray
    ascending: FloatArray
    descending: FloatArray
    single: FloatArray
    full: float


def deletion_areas(responses: Responses, sizes: FloatArray) -> Areas:
    """Return the areas of a deletion, the most important units first; low is good.

    The response is ``(m_k - m_end) / (m_0 - m_end)``, replaced by its running minimum and cut to 0 and 1. The magnitude
    aligned score adds how far it is from the share of importance that is still present, cuts to 0 and 1, and stretches
    the curve from 0 to 1 (repository chasewalker26/Magnitude-Aligned-Scoring, 9006740).

    Parameters
    ----------
    responses
        Those of the order; without reasoning the measure is not that of the full chain.
    sizes
        Importance of the units, ascending and not negative, [unit]. The magnitude aligned area is NaN if all are 0.

    Examples
    --------
    >>> measured = np.array([-5.0, -3.0, -1.0])
    >>> responses = Responses(np.array([0, 1, 2]), measured, measured, measured[:2], -1.0)
    >>> deletion_areas(responses, np.array([1.0, 3.0]))
    Areas(response=0.5, mas=0.625)
    """
    measured, left = responses.ascending[::-1], responses.counts[::-1]
    response = np.clip(np.minimum.accumulate((measured - measured[-1]) / (measured[0] - measured[-1])), 0, 1)
    present = _held_by_the_smallest(sizes, left)
    corrected = _stretched(np.clip(response + np.abs(response - present), 0, 1))
    return _areas(response, corrected, 1 - left / len(sizes))


def insertion_areas(responses: Responses, sizes: FloatArray) -> Areas:
    """Return the areas of an insertion into the chain without reasoning, the most important units first; high is good.

    The response is replaced by its running maximum, and how far it is from the share of importance that is there
    is subtracted.

    Parameters
    ----------
    responses, sizes
        As of `deletion_areas`.
    """
    measured, there = responses.descending, responses.counts
    response = np.clip(np.maximum.accumulate((measured - measured[0]) / (measured[-1] - measured[0])), 0, 1)
    present = 1 - _held_by_the_smallest(sizes, len(sizes) - there)
    corrected = _stretched(np.clip(response - np.abs(response - present), 0, 1))
    return _areas(response, corrected, there / len(sizes))


def monotonicity(ascending: FloatArray, negligible: float = 0.0) -> float:
    """Return the share of steps that do not lower the measure, when units are added in ascending importance.

    Parameters
    ----------
    ascending
        The measure after each step, [step], from the chain without reasoning to the full chain.
    negligible
        A fall of this size or less counts as none.
    """
    return float((np.diff(ascending) >= -negligible).mean())


def monotonicity_correlation(sizes: FloatArray, without: FloatArray, full: float) -> float:
    """Return the rank correlation of sizes of importance with the squared changes that single deletions make.

    The published version averages the change over noise and divides it by the square of the full chain's measure, which
    is one number for a chain and changes no rank (Nguyen and Martinez 2020, as Quantus has it). With deletion there is
    one change a unit, so that leave-one-out has 1 by construction.

    Parameters
    ----------
    sizes
        Absolute importance, [unit].
    without
        The measure without each unit, [unit].
    full
        The measure of the full chain.

    Returns
    -------
    float
        NaN for fewer than three units, and where all sizes or all changes are the same.
    """
    changes = (without - full) ** 2
    if len(sizes) < FEWEST_UNITS or is_constant(sizes) or is_constant(changes):
        return float("nan")
    return pearson(mean_ranks(sizes), mean_ranks(changes))


def _held_by_the_smallest(sizes: FloatArray, counts: IntArray) -> FloatArray:
    """Return the share of all importance that so many of the smallest units hold, [count]; NaN if there is none."""
    held = np.concatenate([[0.0], np.cumsum(sizes)])
    shares: FloatArray = held[counts] / held[-1] if held[-1] > 0 else np.full(len(counts), np.nan)
    return shares


def _stretched(curve: FloatArray) -> FloatArray:
    """Return a curve moved and stretched so that it goes from 0 to 1; it has two values that differ."""
    stretched: FloatArray = (curve - curve.min()) / np.ptp(curve)
    return stretched


def _areas(response: FloatArray, corrected: FloatArray, places: FloatArray) -> Areas:
    """Return the areas of both curves, by trapezoids over the share of units."""
    return Areas(float(trapezoid(response, places)), float(trapezoid(corrected, places)))
