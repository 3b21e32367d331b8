"""Categorizer: the contract of what puts the words of a reasoning text into categories."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from tokimp.chains.chain import CategorySpan, Chain
from tokimp.contracts.parameters import Parameterized
from tokimp.contracts.plugin_output import described, plugin_code
from tokimp.errors import CategorizerError, TokimpError

CATEGORIES = ("symbolic_math", "verbal_math", "entity_name", "coreference", "grammar", "meta_discourse")
"""The six categories of Singh and Hakkani-Tuer (2026)."""
OTHER = "other"
"""The category of what belongs to none of the six, or cannot be told."""


class Categorizer(Parameterized, ABC):
    """Labels the characters of a reasoning text; the one class a new way to do so subclasses.

    A subclass has a `name` and writes `categorize`. ``__init__`` only stores its parameters, each under its own name,
    so that building a categorizer costs nothing and cannot fail. What can fail fails in `validate_parameters`, or in
    `categorize`.

    Attributes
    ----------
    name
        The name it is asked for by: ``tokimp.analyze(result, "structure", categorizer="digits")``.

    Examples
    --------
    Call every number symbolic math, and leave everything else without a category:

    >>> import re
    >>> class Digits(Categorizer):
    ...     name = "digits"
    ...
    ...     def categorize(self, chain):
    ...         numbers = re.finditer(r"[0-9]+", chain.reasoning)
    ...         return tuple(CategorySpan(*number.span(), "symbolic_math") for number in numbers)
    >>> categorize_chains([Chain("a", "?", "so 12", "12")], Digits())[0].category
    (CategorySpan(start=3, end=5, label='symbolic_math'),)
    """

    _error = CategorizerError

    @abstractmethod
    def categorize(self, chain: Chain) -> tuple[CategorySpan, ...]:
        """Return labelled spans of ``chain.reasoning``, in order and without overlap.

        Characters that are in no span have no category. Labels are the categorizer's own; those that come with tokimp
        use `CATEGORIES`, and `OTHER` for what they cannot tell.
        """


def categorize_chains(chains: Sequence[Chain], categorizer: Categorizer) -> list[Chain]:
    """Return the chains with the categories that a categorizer gives them, instead of those they had.

    Raises
    ------
    CategorizerError
        If the categorizer fails, or returns something else than spans; if spans overlap or are out of order, or a label
        is empty. The message names categorizer and chain.
    ChainError
        If a span lies outside the reasoning.
    """
    labelled = []
    for chain in chains:
        where = f"{chain.where}: the categorizer {categorizer.name!r}"
        with plugin_code(where, CategorizerError, passed_on=TokimpError):
            given = categorizer.categorize(chain)
        spans = _spans(given, where)
        end = 0
        for span in spans:
            if span.start < end or not span.label:
                raise CategorizerError(
                    f"{where} gave the span {span.start}:{span.end} ({span.label!r}) after one that ends at {end}; "
                    "spans must be in order, apart, and have a label"
                )
            end = span.end
        labelled.append(replace(chain, category=spans))
    return labelled


def _spans(given: object, where: str) -> tuple[CategorySpan, ...]:
    """Return what a categorizer returned as a tuple; raise `CategorizerError` if it is no sequence of spans."""
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise CategorizerError(f"{where} returned {described(given)}; a tuple of CategorySpan was expected")
    for span in given:
        if not isinstance(span, CategorySpan):
            raise CategorizerError(f"{where} returned {described(span)} among its spans; CategorySpan was expected")
        if type(span.start) is not int or type(span.end) is not int or not isinstance(span.label, str):
            raise CategorizerError(f"{where} returned {span!r}; two whole numbers and a text were expected")
    return tuple(given)
