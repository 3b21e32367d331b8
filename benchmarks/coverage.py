"""How often intervals hold the truth: every kind that tokimp shows, by simulation, with 5 to 200 chains.

    python benchmarks/coverage.py --samples 1000

Each row of the printed table is a kind of interval and a shape of values, each column a number of chains. A cell is the
share of samples, in percent, whose 95 % interval holds the true value; samples without an interval (all values alike)
are left out, and their share stands behind a stroke. The rows *BCa* are the intervals of tokimp 0.2.0, for comparison.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy import stats

from tokimp.analysis.statistics.correlations import pooled_pearson
from tokimp.analysis.statistics.crossed import crossed_interval
from tokimp.analysis.statistics.intervals import (
    MeanInterval,
    jackknife_interval,
    mean_interval,
    paired_share_interval,
    share_interval,
)
from tokimp.analysis.statistics.pooled import pooled_ratio
from tokimp.chains.arrays import FloatArray

CHAINS = (5, 8, 12, 30, 200)
Draw = Callable[[np.random.Generator, int], FloatArray]
Interval = Callable[[np.random.Generator, int], MeanInterval]
"""Draws a sample of so many chains, and returns its interval."""

# Values of chains as analyses have them: name, how to draw them, and their mean.
_SHAPES: tuple[tuple[str, Draw, float], ...] = (
    ("symmetric (normal)", lambda rng, n: rng.normal(0, 1, n), 0.0),
    ("flat (uniform)", lambda rng, n: rng.uniform(0, 1, n), 0.5),
    ("correlations near 0.7", lambda rng, n: np.tanh(rng.normal(1, 0.5, n)), 0.6890749630),
    ("AUROC near 0.9", lambda rng, n: rng.beta(8, 1, n), 8 / 9),
    ("overlaps of 10 units", lambda rng, n: rng.binomial(10, 0.3, n) / 10, 0.3),
    ("heavy tails (t, 3 degrees)", lambda rng, n: rng.standard_t(3, n), 0.0),
    ("skewed (exponential), as nats", lambda rng, n: rng.exponential(1, n), 1.0),
    ("very skewed (lognormal)", lambda rng, n: rng.lognormal(0, 1, n), float(np.exp(0.5))),
)


def kinds() -> Iterator[tuple[str, str, Interval, float]]:
    """Yield each kind of interval, the shape of its values, how to draw one, and the true value."""
    for shape, draw, truth in _SHAPES:
        yield "mean over chains", shape, _mean_of(draw), truth
    for share in (0.5, 0.8, 0.95, 1.0):
        yield "share of chains", f"{share:g}", _share_of(share), share
    for first, second in ((0.15, 0.05), (0.02, 0.02), (0.0, 0.0)):
        name = f"{first:g} only one, {second:g} only the other"
        yield "difference of two shares, paired", name, _paired_of(first, second), first - second
    yield "pooled share", "chains of very different lengths", _pooled_share, 0.3
    yield "pooled Pearson", "levels differ between chains", _pooled_correlation(1.0), _true_correlation(1.0)
    yield "pooled Pearson", "levels are the same", _pooled_correlation(0.0), _true_correlation(0.0)
    for seeds in (2, 3, 5):
        yield "seeds and questions", f"{seeds} seeds that differ", _crossed_of(seeds, 0.3), 0.0
        yield "seeds and questions", f"{seeds} seeds that do not", _crossed_of(seeds, 0.0), 0.0


def covered(interval: Interval, truth: float, n_chains: int, samples: int, seed: int) -> tuple[float, float]:
    """Return the share of intervals that hold the truth, and the share of samples that have no interval."""
    held = without = 0
    for sample in range(samples):
        found = interval(np.random.default_rng([seed, n_chains, sample]), n_chains)
        if np.isnan(found.low):
            without += 1
        else:
            held += found.low - 1e-12 <= truth <= found.high + 1e-12
    return (held / (samples - without) if samples > without else np.nan), without / samples


def bca(values: FloatArray) -> MeanInterval:
    """Return the BCa bootstrap interval of a mean, which tokimp 0.2.0 showed."""
    if not np.ptp(values):
        return MeanInterval(float(values[0]), np.nan, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        ends = stats.bootstrap((values,), np.mean, n_resamples=1000, rng=np.random.default_rng(0)).confidence_interval
    return MeanInterval(float(values.mean()), float(ends.low), float(ends.high))


def _mean_of(draw: Draw) -> Interval:
    return lambda rng, n: mean_interval(draw(rng, n))


def _bca_of(draw: Draw) -> Interval:
    return lambda rng, n: bca(draw(rng, n))


def _share_of(share: float) -> Interval:
    return lambda rng, n: share_interval(int(rng.binomial(n, share)), n)


def _paired_of(first: float, second: float) -> Interval:
    def draw(rng: np.random.Generator, n: int) -> MeanInterval:
        first_only, second_only, _ = rng.multinomial(n, [first, second, 1 - first - second])
        return paired_share_interval(int(first_only), int(second_only), n)

    return draw


def _pooled_share(rng: np.random.Generator, n: int) -> MeanInterval:
    """Tokens of a category that stay, of lognormal numbers of tokens, each chain with a share of its own."""
    tokens = np.ceil(rng.lognormal(3, 0.7, n))
    kept = rng.binomial(tokens.astype(int), rng.beta(3, 7, n)).astype(float)
    value, low, high = pooled_ratio(kept, tokens, 0.95)
    return MeanInterval(float(value), float(low), float(high))


def _true_correlation(level: float) -> float:
    """Return Pearson's correlation of two quantities that share half of their units' variance, and levels."""
    return (level**2 + 1) / np.sqrt((level**2 + 1) * (level**2 + 2))


def _pooled_correlation(level: float) -> Interval:
    def draw(rng: np.random.Generator, n: int) -> MeanInterval:
        one = [rng.normal(0, level) + rng.normal(size=20) for _ in range(n)]
        pairs = [(values, values + rng.normal(size=20)) for values in one]
        low, high = jackknife_interval(lambda weights: pooled_pearson(pairs, weights), n, is_correlation=True)
        return MeanInterval(float(pooled_pearson(pairs, np.ones((1, n)))[0]), low, high)

    return draw


def _crossed_of(seeds: int, spread: float) -> Interval:
    def draw(rng: np.random.Generator, n: int) -> MeanInterval:
        level = spread * rng.normal(size=(seeds, 1)) + rng.normal(size=(1, n))
        return crossed_interval(level + rng.normal(size=(seeds, n)))

    return draw


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1000, help="samples of each cell")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    print(f"| interval of | values | {' | '.join(f'{n} chains' for n in CHAINS)} |")
    print("| --- | --- |" + " --- |" * len(CHAINS))
    rows = [(kind, shape, interval, truth, options.samples) for kind, shape, interval, truth in kinds()]
    # The old intervals are slow, and need no more samples to be told from what they promise.
    rows += [("mean, BCa", shape, _bca_of(draw), truth, min(400, options.samples)) for shape, draw, truth in _SHAPES]
    for kind, shape, interval, truth, samples in rows:
        cells = []
        for n_chains in CHAINS:
            share, without = covered(interval, truth, n_chains, samples, options.seed)
            left_out = f" / {without:.0%}" if without >= 0.005 else ""
            cells.append(("-" if np.isnan(share) else f"{share:.1%}") + left_out)
        print(f"| {kind} | {shape} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
