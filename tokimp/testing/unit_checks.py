"""Does a unit splitter keep the contract? One check for every class that subclasses `UnitSplitter`."""

from __future__ import annotations

from collections.abc import Sequence

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.unit_splitter import UnitSplitter, divide
from tokimp.errors import TokenizationError
from tokimp.testing.parameter_checks import built, check_parameters, expect
from tokimp.testing.toy_scorer import toy_chain

_TEXTS = (
    "a",
    "so 12 - 5 = 7, and 7 + 30 = 37 it is.",
    "Take 5 from 12. That is 7!\n\nStep 2. Wait... is $x = 3.$ right?\n$$\ny = 4\n$$\n",
    "\u90a3\u662f\u4e03\u3002\u5bf9\u5417\uff1f",
    "e\u0301 \U0001f600\t\u0e09\u0e31\u0e19\u0e21\u0e35 \u0915\u093e\u0964",
)


def check_units(splitter: UnitSplitter | type[UnitSplitter], chains: Sequence[TokenizedChain] | None = None) -> None:
    """Raise `AssertionError` if a unit splitter breaks the contract of `UnitSplitter`.

    The rules:

    - ``__init__`` stores its parameters as given. Name, label, parameters and constraints are well formed, and the
      version is a whole number from 1.
    - It gives a partition of the reasoning tokens: each is in exactly one unit, no unit is empty, and units are in the
      order of their first tokens. It is asked about a text of one character, of mathematics and
      several lines, and of other scripts than the Latin.
    - It gives the same again when it is asked again, and does not change itself.

    Parameters
    ----------
    splitter
        A class that needs no parameters, or an instance.
    chains
        The chains that it is asked to divide; by default short ones whose tokens are their characters.

    Examples
    --------
    >>> from tokimp.contracts.unit_splitter import TextUnitSplitter
    >>> class Halves(TextUnitSplitter):
    ...     name = "halves"
    ...
    ...     def starts(self, text):
    ...         return sorted({0, len(text) // 2})
    >>> check_units(Halves)
    """
    instance = built(splitter, UnitSplitter, "check_units")
    check_parameters(instance)
    version: object = instance.version
    expect(
        type(version) is int and version >= 1,
        f"{instance.name}: version must be a whole number from 1, not {version!r}",
    )
    chains = chains or [toy_chain(text, id=f"text {number}") for number, text in enumerate(_TEXTS)]
    parameters = repr(instance.parameters())
    first = [_units(instance, chain) for chain in chains]
    for chain, units in zip(reversed(chains), reversed(first), strict=True):
        expect(
            _units(instance, chain) == units,
            f"{instance.label} divides {chain.id!r} in another way when asked again; keep nothing between chains",
        )
    expect(repr(instance.parameters()) == parameters, f"{instance.label}: must not change its own parameters")


def _units(splitter: UnitSplitter, chain: TokenizedChain) -> tuple[tuple[int, ...], ...]:
    try:
        return divide(chain, splitter).units
    except TokenizationError as error:
        raise AssertionError(str(error)) from error
    except Exception as error:
        raise AssertionError(
            f"{splitter.label}: failed on the text {chain.chain.reasoning!r} with {type(error).__name__}: {error}"
        ) from error
