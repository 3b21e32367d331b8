"""Values: when two of them are the same, when they differ, and when that is not known."""

from __future__ import annotations

import pytest

from tokimp.chains.datasets.values import same_value

COMMAS: list[tuple[str, str, bool | None]] = [
    ("1", "0,1", False),
    ("3,1", "1,3", True),
    ("1,234", "1234", True),
    ("12,5", "125", False),
    ("12,5", "12.5", None),
    ("1{,}234", "1234", True),
    (r"1,\!234", "1234", True),
    ("12,34", "1234", False),
    ("1,2345", "12345", False),
    ("0,5", "0.5", None),
    ("1, 234", "1234", False),
    ("100,200", "200,100", None),
    ("1,2,3", "3,2,1", True),
    ("1,2,3", "3,2", False),
    ("1 and 3", "3,1", True),
    (r"1\text{ and }3", "1,3", True),
    (r"12\text{ and }13", "12", False),
    ("(2,3)", "(3,2)", False),
    ("(2, 3)", "(2,3)", True),
    ("(2,3)", "[2,3)", False),
    (r"\{1,2\}", "2,1", True),
    ("(1,2),(3,4)", "(3,4),(1,2)", True),
    ("(1,2),(3,4)", "(4,3),(1,2)", False),
    (r"\pm3", "3", False),
    ("The sum is 15 apples and so on", "15", None),
    ("1,000,000", "1000000", True),
    ("10,00", "1000", False),
    ("1.234,5", "1234.5", None),
    ("A, B", "B, A", True),
    ("A and C", "A", False),
]
TIMES: list[tuple[str, str, bool | None]] = [
    ("4:45 p.m.", r"\text{4:30 p.m.}", False),
    (r"\pm 3", "3,-3", True),
    (r"1\pm\sqrt{2}", r"1-\sqrt2,1+\sqrt2", True),
    ("4:30 p.m.", "4:30 PM", True),
    ("4:30", "4:30 p.m.", None),
    ("16:30", "4:30 p.m.", True),
    ("4:45", "4:30", False),
    ("4:45", "4:30 p.m.", False),
    ("1:2", "2:4", None),
    ("1:2", "2:1", False),
    ("5:30", "5.5", None),
    ("7 a.m.", "7 p.m.", False),
    ("7 a.m.", "7:00 a.m.", True),
    ("noon", "12:00 p.m.", None),
    ("12:00", "12", None),
]
BASES: list[tuple[str, str, bool | None]] = [
    ("4210_5", "4210_{7}", False),
    ("10_2", "2_{10}", None),
    ("101_2", "11_2", False),
    ("101_2", "101", None),
    ("4210_5", "4210_5", True),
    ("x_1", "x_2", False),
    ("4210_{5}", "4210_5", True),
    ("12_3", "5", None),
    ("12_3", "7", False),
    ("1_000", "1000", None),
    ("x^{2}_3", "x^2", False),
]
FACTORIALS: list[tuple[str, str, bool | None]] = [
    (r"\left(3,\! 4\right)", "(3,4)", True),
    ("5!", "5", False),
    ("5!", "120", True),
    ("7!", "5!", False),
    ("4!", "4! ", True),
]
UNITS: list[tuple[str, str, bool | None]] = [
    ("18 apples", "18", True),
    ("18 apples", "15", False),
    ("5 cm", "5 m", False),
    ("5 cm", "5 cm", True),
    (r"5\text{ cm}", "5", True),
    (r"5\text{ cm}^2", r"5\text{ cm}", False),
    ("100 cm", "1 m", True),
    ("60 minutes", "1 hour", True),
    ("$18", "18.", True),
    ("$5", "€5", False),
    ("50%", "50", True),
    ("50%", "0.5", None),
    (r"50\%", "50", True),
    ("5", r"5\mbox{ inches}", True),
    ("5 apples", "5 oranges", None),
    ("50 cents", "0.5", None),
    ("2 dozen", "24", True),
    ("2 dozen", "25", False),
    ("-1.8 billion", "2", False),
    ("1.8 million", "1800000", True),
    (r"90^\circ", "90", True),
    ("90°", "91", False),
    ("60 km/h", "60", True),
    ("60 km/h", "60 m/s", False),
    (r"\frac{3}{4} \text{cups}", "3/4", True),
    ("$15$", "15", True),
    ("$-5", "-5", True),
    ("$ 5", "5", True),
    ("5%", "5 percent", True),
    (r"5 \text{ and } 6 \text{ cm}", "5,6", True),
    (r"\frac{1}{2}\text{ cm}", r"\frac{1}{2}\text{ m}", False),
    ("3 m", "3 s", False),
    (r"3 \text{ cm}", r"30 \text{ mm}", True),
]
EXPRESSIONS: list[tuple[str, str, bool | None]] = [
    (r"1+\frac{1}{\mathrm{e}}", r"1-\frac{1}{\mathrm{e}}", False),
    (r"\text{Evelyn}", "Evelyn", True),
    (r"\text{Evelyn}", "Evan", False),
    (r"\frac12", "0.5", True),
    (r"3\sqrt{2}", r"\sqrt{18}", True),
    ("x+1", "1 + x", True),
    ("x+1", "x+2", False),
    ("-2 3/4", "-2.75", True),
    (r"2\frac34", "2.75", True),
    ("x = 15", "15", True),
    ("x=15", "x=16", False),
    ("y=2x", "y=2x", True),
    ("x=5", "y=5", False),
    ("1" * 400 + "x", "2", None),
    ("2x", "2", False),
    ("2x", "2y", False),
    (r"2\pi", "2pi", True),
    (r"2\pi", "2", False),
    ("x^2-1", "(x-1)(x+1)", True),
    ("2 pi", "2", False),
    ("1/3", "0.3333", False),
    ("0.333333", "1/3", True),
    (r"(-\infty,3)", r"(-\infty, 3)", True),
    (r"(-\infty,3]", r"(-\infty,3)", False),
    (r"(-\infty,3]\cup[5,\infty)", r"[5,\infty)\cup(-\infty,3]", True),
    ("10^{20}", "10^{20}+1", False),
    (r"\infty", r"-\infty", False),
    ("3/4", "4/3", False),
    (r"\sqrt{2", "2", None),
    ("1/2/2023", "2/1/2023", False),
    (r"0.\overline{3}", "1/3", None),
    ("log 2", r"\log 2", True),
    ("5 + 3i", "3i+5", True),
    ("10^3", "1000", True),
]
WORDS: list[tuple[str, str, bool | None]] = [
    ("15", "15", True),
    ("**18**", "18", True),
    ("eighteen", "18", None),
    ("none", "0", None),
    ("Tuesday", "tuesday", True),
    ("Tuesday", "Monday", False),
    ("listen", "silent", False),
    ("It is Tuesday", "Tuesday", None),
    ("5 6", "11", None),
    ("", "5", False),
    ("5", "", False),
    ("", "", False),
    ("1e5", "100000", True),
    ("18**", "18", True),
    ("15 (fifteen)", "15", None),
    (r"\(15\)", "15", True),
    ("C", "C", True),
    ("(C)", "C", True),
    ("C.", "D", False),
    ("1.2.3", "1.2", None),
    ("-5", "5", False),
    ("\u22125", "-5", True),
    ("+5", "5", True),
    ("5.", "5", True),
    ("05", "5", True),
    ("Jan 5", "Jan 6", None),
    ("2023-01-05", "2023-01-06", False),
    ("yes", "no", False),
    ("3.0", "3", True),
    ("1e400", "1e401", False),
    ("999999999999999999999999999999", "999999999999999999999999999998", False),
    ("1000000.4", "1000000.4000001", False),
]


def check(one: str, other: str, same: bool | None) -> None:
    """Assert the verdict on two values, in either order."""
    assert same_value(one, other) is same
    assert same_value(other, one) is same


SPELLINGS = [
    ("0x1F", "0x1f", True),
    ("0x1F", "0x2F", False),
    ("0b11", "11", None),
    ("0x1F", "31", None),
    ("0o17", "16_8", False),
    ("5k", "5000", True),
    ("$1.5M", "$1,500,000", True),
    ("5k", "5", None),
    ("5k", "6", False),
    ("2 < x \\le 3", "(2, 3]", True),
    ("2 < x \\le 3", "(2, 3)", False),
    ("x \\in [0, 1)", "[0,1)", True),
    ("x > 2", "(2, \\infty)", None),
    ("5 = x", "5", True),
    ("5 = x", "x = 6", False),
    ("2 + 3 = 5", "5", None),
    ("1.2 x 10^3", "1200", True),
    ("3 x 4", "12", None),
    ("3 : 2", "3 to 2", True),
    ("3 to 2", "2 to 3", False),
    ("5 square meters", "5 m^2", True),
    ("12.50 €", "€12.50", True),
    ("12,50 €", "12.50 €", None),
    ("12,50 €", "12.60 €", False),
    ("5 below zero", "5", None),
]
SIGNS = [
    ("|x|", "x", None),
    ("A'", "A", None),
    ("f'(x)", "f(x)", None),
    (r"A \cup B", r"A \cap B", None),
    (r"\angle ABC", r"\triangle ABC", None),
    (r"\vec{v}", "v", None),
    ("ab", "ba", None),
    ("C(5,2)", "10", None),
    ("5P2", "20", None),
    (r"\sin 30^\circ", "0.5", True),
    (r"\sin 30^\circ", r"\sin 150^\circ", True),
    (r"\sin 30^\circ", "-0.98803", False),
    (r"90^\circ", r"\frac{\pi}{2}", None),
    ("90°", "45°", False),
]
ROUNDED = [
    ("10^{-7}", "10^{-8}", False),
    ("1/10000000", "1/20000000", False),
    ("10^{-7}", "0.0000001", True),
    ("1/3", "0.3333333", True),
    (r"\sqrt{2}", "1.4142136", True),
    (r"\pi", r"\frac{355}{113}", False),
    ("1/1000000", "0.0000012", False),
    ("1/3", "0.34", False),
    ("2^{64}", "18446744073709551616", True),
    ("2^{64}", "18446744073709551617", False),
]


@pytest.mark.parametrize(("one", "other", "same"), SPELLINGS)
def test_two_spellings_of_a_value_are_one_value(one: str, other: str, same: bool | None) -> None:
    """Prefixes, abbreviations, inequalities, turned equations and units are read as what they say, or not known."""
    check(one, other, same)


@pytest.mark.parametrize(("one", "other", "same"), SIGNS)
def test_signs_that_change_a_value_are_not_passed_over(one: str, other: str, same: bool | None) -> None:
    """The same letters and numbers with other signs between them are not the same value."""
    check(one, other, same)


@pytest.mark.parametrize(("one", "other", "same"), ROUNDED)
def test_numbers_are_not_rounded(one: str, other: str, same: bool | None) -> None:
    """Small and large numbers are told apart to their last digit; a number and its rounding are not known."""
    check(one, other, same)


@pytest.mark.parametrize(("one", "other", "same"), COMMAS)
def test_commas_separate_thousands_or_members(one: str, other: str, same: bool | None) -> None:
    """Three digits after each comma make thousands; lists and sets have no order, tuples and intervals do."""
    check(one, other, same)


@pytest.mark.parametrize(("one", "other", "same"), TIMES)
def test_times_are_compared_as_times(one: str, other: str, same: bool | None) -> None:
    """Times and ratios are compared as such, and not by their first number."""
    check(one, other, same)


@pytest.mark.parametrize(("one", "other", "same"), BASES)
def test_bases_are_told_apart(one: str, other: str, same: bool | None) -> None:
    """A number in a base is no other number, and an index is no base."""
    check(one, other, same)


@pytest.mark.parametrize(("one", "other", "same"), FACTORIALS)
def test_factorials_are_told_apart(one: str, other: str, same: bool | None) -> None:
    """A factorial is not the number before its sign."""
    check(one, other, same)


@pytest.mark.parametrize(("one", "other", "same"), UNITS)
def test_units_are_told_apart(one: str, other: str, same: bool | None) -> None:
    """A number without a unit is in the question's; different units are told apart or converted."""
    check(one, other, same)


@pytest.mark.parametrize(("one", "other", "same"), EXPRESSIONS)
def test_expressions_are_compared_by_meaning(one: str, other: str, same: bool | None) -> None:
    """Expressions are the same by what they mean; what cannot be read whole is not known."""
    check(one, other, same)


@pytest.mark.parametrize(("one", "other", "same"), WORDS)
def test_what_is_no_mathematics_is_text_or_not_known(one: str, other: str, same: bool | None) -> None:
    """Numbers are compared as numbers, names as text; words beside numbers are not known."""
    check(one, other, same)


def test_letters_of_choices_are_compared_as_letters() -> None:
    """A choice is the same in either case, I is no number or unit, and a letter says nothing about a number."""
    assert same_value("b", "B", "choice") is True
    assert same_value("I", "J", "choice") is False
    assert same_value("B", "7", "choice") is None


@pytest.mark.parametrize(("one", "other"), [("1,000", "1,0"), ("2,005", "2, 5")])
def test_thousands_are_no_list(one: str, other: str) -> None:
    """A number whose last three digits begin with zeros is not called the same as a list of two."""
    check(one, other, None)
