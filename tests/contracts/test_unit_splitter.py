"""Unit splitters: the built-in ones, what the core checks of anybody's, and how a run is told which it used."""

from __future__ import annotations

from typing import Any

import pytest

import tokimp as ti
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.registry import load_unit, names
from tokimp.contracts.unit_splitter import TextUnitSplitter, UnitSplitter, divide
from tokimp.errors import PluginError, TokenizationError
from tokimp.results.provenance import unit_identity
from tokimp.testing import check_units, toy_chain

TEXT = "Step 1. So 3 + 4 = 7.\nStep 2. Then stop.\n\nIt is 7."


class Given(UnitSplitter):
    """Gives the units it was built with."""

    name = "given"

    def __init__(self, units: Any = ()) -> None:
        self.units = units

    def split(self, text: str, offsets: Any) -> Any:
        """Return the units."""
        return self.units


class Starts(TextUnitSplitter):
    """Begins units at the characters it was built with."""

    name = "starts"

    def __init__(self, places: Any = (0,)) -> None:
        self.places = places

    def starts(self, text: str) -> Any:
        """Return the places."""
        return self.places


@pytest.mark.parametrize("unit", names("units"))
def test_a_built_in_unit_keeps_the_contract(unit: str) -> None:
    """Every unit that comes with tokimp gives a partition, whatever the text."""
    check_units(load_unit(unit))


@pytest.mark.parametrize(
    ("unit", "units"),
    [
        ("token", list(TEXT)),
        ("line", ["Step 1. So 3 + 4 = 7.", "\nStep 2. Then stop.", "\n\nIt is 7."]),
        ("paragraph", ["Step 1. So 3 + 4 = 7.\nStep 2. Then stop.", "\n\nIt is 7."]),
        ("step", ["Step 1. So 3 + 4 = 7.", "\nStep 2. Then stop.\n\nIt is 7."]),
        ("sentence", ["Step 1.", " So 3 + 4 = 7.", "\nStep 2.", " Then stop.", "\n\nIt is 7."]),
        ("equation", ["Step 1.", " So", " 3 + 4 = 7.", "\nStep 2.", " Then stop.", "\n\nIt is 7."]),
    ],
)
def test_what_a_unit_is(unit: str, units: list[str]) -> None:
    """Each built-in unit divides a short text where its name says."""
    chain = toy_chain(TEXT, unit=unit)
    assert ["".join(TEXT[position] for position in members) for members in chain.units] == units
    assert chain.unit == unit


@pytest.mark.parametrize(
    ("splitter", "message"),
    [
        (Given([[0, 1], [1, 2]]), "units that hold token 1 2 times"),
        (Given([[0], [2]]), "units that hold token 1 0 times"),
        (Given([[0, 1, 2], [3]]), "units that hold token 3 1 times"),
        (Given([[0, 1, 2], []]), "an empty unit, number 1"),
        (Given([[2], [0, 1]]), "not in the order of their first tokens"),
        (Given(7), "which is no list of lists of positions"),
        (Given([0, 1, 2]), "which is no list of lists of positions"),
        (Given([[0.0], [1.0], [2.5]]), "which is no list of lists of positions"),
        (Starts([0, 9]), "whole numbers that ascend, from 0 to 3, were expected"),
        (Starts([2, 1]), "whole numbers that ascend"),
        (Starts([0.5]), "whole numbers that ascend"),
    ],
)
def test_units_that_are_no_partition_are_refused(splitter: UnitSplitter, message: str) -> None:
    """Whatever a splitter returns, either it is a partition or the error says what is wrong with it."""
    with pytest.raises(TokenizationError, match=message):
        divide(toy_chain("abc", id="c7"), splitter)
    with pytest.raises(AssertionError, match=message):
        check_units(splitter, [toy_chain("abc")])


@pytest.mark.parametrize("error", [ValueError("no units today"), SystemExit("no units today")])
@pytest.mark.parametrize("late", [False, True])
def test_a_splitter_that_fails_is_one_sentence(error: BaseException, late: bool) -> None:
    """Whatever its code raises, also as a generator, becomes an error that names the chain and the unit."""

    class Failing(UnitSplitter):
        name = "failing"

        def split(self, text: str, offsets: Any) -> Any:
            return self._units() if late else list(self._units())

        def _units(self) -> Any:
            yield [0]
            raise error

    with pytest.raises(TokenizationError, match=r"chain 'toy': the unit 'failing' failed with .*: no units today"):
        divide(toy_chain("abc"), Failing())


def test_units_need_not_be_runs() -> None:
    """A unit may hold tokens that do not stand together."""
    assert divide(toy_chain("abc"), Given([[0, 2], [1]])).units == ((0, 2), (1,))


def test_a_splitter_that_changes_its_mind_is_found() -> None:
    """Other units for the same text are a breach of the contract."""

    class Fickle(UnitSplitter):
        name = "fickle"

        def split(self, text: str, offsets: Any) -> Any:
            self.n = getattr(self, "n", 0) + 1
            return [range(len(offsets))] if self.n % 2 else [[place] for place in range(len(offsets))]

    chain: list[TokenizedChain] = [toy_chain("abc")]
    with pytest.raises(AssertionError, match="in another way when asked again"):
        check_units(Fickle, chain)


def test_an_unknown_unit_is_refused() -> None:
    """An unknown unit is an error that lists the known ones, before anything is tokenised."""
    with pytest.raises(PluginError, match=r"no unit named 'page'.*known are equation, line, paragraph, sentence"):
        ti.load_unit("page")


def test_a_run_is_told_by_splitter_and_version() -> None:
    """The label says which unit; a version that divides in another way than the first, and a plugin, are told too."""
    assert unit_identity(load_unit("word")) == {"unit": "word"}
    sentence = unit_identity(load_unit("sentence:language=de"))
    assert sentence["unit"] == "sentence:language=de"
    assert (sentence["unit_splitter"]["version"], sentence["unit_splitter"]["distribution"]) == (2, "tokimp")
    assert unit_identity(Starts([0]))["unit_splitter"]["class"] == "Starts"
