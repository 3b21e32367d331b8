"""What a result can do by itself: ``result.tokimp``."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr

from tokimp.results.by_chain import iterate, one_chain
from tokimp.results.selection import Places, isel, sel
from tokimp.results.views import pruned_text, tidy_table

if TYPE_CHECKING:
    from tokimp.report.shown_chain import ShownChain


@xr.register_datatree_accessor("tokimp")  # type: ignore[no-untyped-call] # xarray gives it no types
class ResultAccessor:
    """Methods of a result, under ``result.tokimp``, once tokimp is imported.

    Parameters
    ----------
    result
        A result of `tokimp.compare`.

    Examples
    --------
    >>> import tokimp as ti
    >>> from tokimp.testing.toy_result import toy_result
    >>> result = toy_result({"greedy:keep_ratio=0.5": [[3, 1, 2], [1, 2]], "position": [[0, 1, 2], [0, 1]]})
    >>> result.tokimp.sel(chain="chain-0", estimator="greedy")["rank"].values.tolist()
    [[2, 0, 1]]
    """

    def __init__(self, result: xr.DataTree) -> None:
        self._result = result

    def sel(
        self, *, chain: str | Sequence[str] | None = None, estimator: str | Sequence[str] | None = None
    ) -> xr.DataTree:
        """Return the result of some chains and estimators, by name (`tokimp.results.selection.sel`)."""
        return sel(self._result, chain=chain, estimator=estimator)

    def isel(self, *, chain: Places | None = None, estimator: Places | None = None) -> xr.DataTree:
        """Return the result of some chains and estimators, by their places (`tokimp.results.selection.isel`)."""
        return isel(self._result, chain=chain, estimator=estimator)

    def chain(self, chain_id: str) -> xr.Dataset:
        """Return one chain's part of the result, without the dimension ``chain``; `SchemaError` if there is none."""
        return one_chain(self._result, chain_id)

    def table(self) -> pd.DataFrame:
        """Return all chains as one table, a row for each token and estimator (`tokimp.results.views.tidy_table`)."""
        return tidy_table(self._result)

    def pruned_text(self, chain_id: str, estimator: str, keep_ratio: float) -> str:
        """Return the reasoning text that is left of a chain (`tokimp.pruned_text`)."""
        return pruned_text(self._result, chain_id, estimator, keep_ratio)

    def show(
        self,
        chain: str | int = 0,
        estimators: str | Sequence[str] | None = None,
        *,
        keep_ratio: float | None = None,
    ) -> ShownChain:
        """Show a chain with shaded tokens (`tokimp.show`)."""
        from tokimp.report.shown_chain import show  # noqa: PLC0415 - the accessor is registered on `import tokimp`

        return show(self._result, chain, estimators, keep_ratio=keep_ratio)

    def view(self, out: str | PathLike[str] = "explorer.html", *, title: str | None = None, show: bool = False) -> Path:
        """Write the explorer of the result (`tokimp.view`)."""
        from tokimp.report.explorer.view import view  # noqa: PLC0415 - as above

        return view(self._result, out, title=title, show=show)

    def __repr__(self) -> str:
        """Say how many chains and estimators there are, and what can be done."""
        lengths = [part.sizes["token"] for _, part in iterate(self._result)]
        return (
            f"tokimp: {len(lengths)} chains, {sum(lengths)} tokens, {self._result.sizes['estimator']} estimators; "
            "methods: sel, isel, chain, table, pruned_text, show, view"
        )
