"""Conclusions: who is told from chance, by which operators, and what is said where little is known."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from tokimp.analysis.against_chance.comparison import Comparison
from tokimp.analysis.against_chance.conclusion import Panel, conclusion, verdicts
from tokimp.chains.arrays import FloatArray

NUMBER = Panel("number")


def node(values: Mapping[str, FloatArray], better: str = "high", operators: int = 1) -> xr.Dataset:
    """Return a node in which random orders and position are near 0, by estimator: [operator, chain], or [chain]."""
    rows = np.array([np.broadcast_to(value, (operators, np.shape(value)[-1])) for value in values.values()])
    n_chains = rows.shape[-1]
    noise = 0.01 * np.random.default_rng(0).normal(size=(operators, 3, n_chains))
    compared = Comparison(rows.transpose(1, 0, 2), noise[:, 0], noise[:, 1:])
    return xr.Dataset(
        compared.variables(("operator",), 0.95),
        coords={"operator": ["delete", "mask"][:operators], "estimator": list(values), "better": better},
        attrs={"confidence": 0.95},
    )


def around(mean: float, n_chains: int = 20, seed: int = 1) -> FloatArray:
    """Return values that vary a little around a mean."""
    return mean + 0.1 * np.random.default_rng(seed).normal(size=n_chains)


def test_better_worse_and_not_told_from_chance() -> None:
    """Values far above, far below and around those of random orders; with low values good it is the other way round."""
    values = {"above": around(1.0), "below": around(-1.0), "around": around(0.0)}
    found = verdicts(node(values), NUMBER, ["delete"]).by_reference["uniform"]
    assert found == {"better": ["above"], "worse": ["below"], "same": ["around"], "few": []}
    low = verdicts(node(values), Panel("number", better="low"), ["delete"]).by_reference["position"]
    assert (low["better"], low["worse"]) == (["below"], ["above"])


def test_every_operator_must_tell_it() -> None:
    """An estimator that is better by one operator alone, or worse by the other, is not told from chance by both."""
    values = {
        "both": np.stack([around(1.0, seed=2), around(1.0, seed=3)]),
        "one": np.stack([around(1.0, seed=2), around(0.0, seed=3)]),
        "opposite": np.stack([around(1.0, seed=2), around(-1.0, seed=3)]),
    }
    two = node(values, operators=2)
    assert verdicts(two, NUMBER, ["delete"]).by_reference["uniform"]["better"] == [
        "both",
        "one",
        "opposite",
    ]
    found = verdicts(two, NUMBER, ["delete", "mask"]).by_reference["uniform"]
    assert found == {"better": ["both"], "worse": [], "same": ["one", "opposite"], "few": []}


def test_p_values_are_corrected_for_how_many_there_are() -> None:
    """A difference that its own interval tells from 0 is no longer told among twenty that are like chance."""
    drawn = around(0.0, n_chains=22)
    weak = 0.06 + 0.1 * (drawn - drawn.mean()) / drawn.std(ddof=1)
    alone = node({"weak": weak})
    assert alone["above_uniform_low"].item() > 0
    assert verdicts(alone, NUMBER, ["delete"]).by_reference["uniform"]["better"] == ["weak"]
    among = node({"weak": weak, **{f"e{seed}": around(0.0, n_chains=22, seed=100 + seed) for seed in range(20)}})
    found = verdicts(among, NUMBER, ["delete"])
    assert "weak" in found.by_reference["uniform"]["same"]
    assert found.n_comparisons == 42


def test_chance_is_called_better_hardly_ever() -> None:
    """Of estimators that are random orders themselves, Holm lets one in twenty tables call any better or worse."""
    generator, told = np.random.default_rng(3), 0
    for _ in range(60):
        values = {str(index): generator.normal(size=15) for index in range(5)}
        references = generator.normal(size=(1, 3, 15))
        rows = np.array(list(values.values()))[None]
        compared = Comparison(rows, references[:, 0], references[:, 1:])
        table = xr.Dataset(
            compared.variables(("operator",), 0.95),
            coords={"operator": ["delete"], "estimator": list(values)},
            attrs={"confidence": 0.95},
        )
        found = verdicts(table, NUMBER, ["delete"]).by_reference
        told += any(found[name][verdict] for name in ("uniform", "position") for verdict in ("better", "worse"))
    assert told <= 8


def test_the_sentence_names_who_is_told_from_what() -> None:
    """It names the operators, both references, and over how many comparisons p-values were corrected."""
    said = conclusion(node({"a": around(1.0), "b": around(0.0)}, operators=2), NUMBER, ["delete", "mask"])
    assert said == (
        "In conclusion, by delete and mask, a is better than random orders; a is better than position too; b is not "
        "told from random orders (Holm over 4 comparisons, level 0.05)."
    )


def test_few_chains_tell_nothing() -> None:
    """Four chains are too few for any conclusion, and the sentence says so."""
    few = node({"a": around(1.0, n_chains=4)})
    assert conclusion(few, NUMBER, ["delete"]) == (
        "In conclusion, by delete, nothing is told from chance, because there are too few chains."
    )
    values = around(1.0)
    values[3:] = np.nan
    assert "b is known on too few chains" in conclusion(node({"a": around(1.0), "b": values}), NUMBER, ["delete"])


def test_no_star_contradicts_the_interval_beside_it() -> None:
    """Five skewed values whose t test tells them from 0, and whose interval does not, are not told from chance."""
    table = node({"skewed": np.array([-0.322, -0.369, -0.423, -0.415, -0.204])})
    assert table["above_uniform_p"].item() < 0.01
    low, high = (table[f"above_uniform_{end}"].item() for end in ("low", "high"))
    found = verdicts(table, NUMBER, ["delete"]).by_reference["uniform"]
    assert low < 0 < high
    assert found["same"] == ["skewed"]


Told = tuple[float, float, float, float]
"""Mean difference, both ends of its interval, p-value."""
HIGHER, LOWER, ALIKE = (1.0, 0.5, 1.5, 1e-6), (-1.0, -1.5, -0.5, 1e-6), (0.1, -1.0, 1.2, 0.9)


def written(
    uniform: Mapping[str, list[Told]], position: Mapping[str, list[Told]], chains: list[int] | None = None
) -> xr.Dataset:
    """Return a node with these differences from random orders and from position, one for each operator."""
    operators = ["delete", "mask"][: len(next(iter(uniform.values())))]
    dims = ("operator", "estimator")
    variables = {
        f"above_{reference}_{name}": (dims, np.array([[row[place] for row in rows] for rows in table.values()]).T)
        for reference, table in (("uniform", uniform), ("position", position))
        for place, name in enumerate(("mean", "low", "high", "p"))
    }
    used = np.broadcast_to(np.array(chains or [20] * len(operators))[:, None], (len(operators), len(uniform)))
    return xr.Dataset(
        {**variables, "chains_used": (dims, used)},
        coords={"operator": operators, "estimator": list(uniform)},
        attrs={"confidence": 0.95},
    )


def test_the_weakest_operator_decides() -> None:
    """A p-value or an interval that does not tell by one operator leaves the estimator untold by both."""
    for weak in ((1.0, 0.5, 1.5, 0.2), (1.0, -0.1, 2.1, 1e-6), (1.0, 0.0, 2.0, 1e-6)):
        for rows in ([HIGHER, weak], [weak, HIGHER]):
            table = {"a": rows}
            assert verdicts(written(table, table), NUMBER, ["delete", "mask"]).by_reference["uniform"]["same"] == ["a"]
    for weak in ((-1.0, -2.1, 0.1, 1e-6), (-1.0, -2.0, 0.0, 1e-6)):
        table = {"a": [LOWER, weak]}
        assert verdicts(written(table, table), NUMBER, ["delete", "mask"]).by_reference["uniform"]["same"] == ["a"]


def test_an_estimator_known_on_few_chains_by_one_operator_is_known_on_few() -> None:
    """The operator with the fewest chains counts, and what is not known is not corrected for."""
    table = {"a": [HIGHER, HIGHER]}
    found = verdicts(written(table, table, [20, 4]), NUMBER, ["delete", "mask"])
    assert found.by_reference["uniform"]["few"] == ["a"]
    assert found.n_comparisons == 0
    assert not found.is_any_told


def test_worse_and_better_are_told_and_from_one_reference_alone() -> None:
    """An estimator worse than random orders is told from them, and so is a better one, though neither from position."""
    found = verdicts(written({"a": [LOWER]}, {"a": [ALIKE]}), NUMBER, ["delete"])
    assert found.is_told("uniform", "a")
    assert not found.is_told("position", "a")
    assert found.is_any_told
    better = verdicts(written({"a": [HIGHER]}, {"a": [ALIKE]}), NUMBER, ["delete"])
    assert better.is_told("uniform", "a")
    assert better.is_any_told
    assert not verdicts(written({"a": [ALIKE]}, {"a": [ALIKE]}), NUMBER, ["delete"]).is_any_told


def test_the_sentence_keeps_random_orders_and_position_apart() -> None:
    """Better than position too are only those better than both; those worse than random orders are named."""
    uniform = {"a": [HIGHER], "b": [HIGHER], "c": [LOWER], "d": [ALIKE]}
    position = {"a": [HIGHER], "b": [ALIKE], "c": [HIGHER], "d": [HIGHER]}
    assert conclusion(written(uniform, position), NUMBER, ["delete"]) == (
        "In conclusion, by delete, a and b are better than random orders; a is better than position too; d is not told "
        "from random orders; c is worse than random orders (Holm over 8 comparisons, level 0.05)."
    )
    assert conclusion(written({"a": [HIGHER]}, {"a": [LOWER]}), NUMBER, ["delete"]) == (
        "In conclusion, by delete, a is better than random orders; none is better than position too (Holm over 2 "
        "comparisons, level 0.05)."
    )
    assert conclusion(written({"a": [ALIKE]}, {"a": [HIGHER]}), NUMBER, ["delete"]) == (
        "In conclusion, by delete, none is better than random orders; a is not told from random orders (Holm over 2 "
        "comparisons, level 0.05)."
    )


def test_of_many_estimators_some_are_named_and_the_others_counted() -> None:
    """Six are all named; of eight the first five are, and three more."""
    for labels, said in (("abcdef", "a, b, c, d, e and f are"), ("abcdefgh", "a, b, c, d, e and 3 more are")):
        table = {label: [HIGHER] for label in labels}
        assert f"by delete, {said} better than random orders; {said} better than position too" in conclusion(
            written(table, table), NUMBER, ["delete"]
        )
