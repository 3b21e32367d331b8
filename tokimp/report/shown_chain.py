"""One chain with its tokens shaded by importance: HTML in a notebook, colours on a terminal."""

from __future__ import annotations

import html
import io
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from rich.console import Console
from rich.style import Style
from rich.text import Text

from tokimp.chains.arrays import FloatArray
from tokimp.chains.token_texts import token_texts
from tokimp.chains.visible_text import visible
from tokimp.report.places import unit_places
from tokimp.results.by_chain import chain_ids, one_chain, unit_scores
from tokimp.results.selection import estimator_label
from tokimp.results.views import pruned_text, top_units

_BLUE = (8, 81, 156)
_STRONGEST = 0.88  # opacity of the most important unit
_LIGHT_TEXT_FROM = 0.6
_TOP = 5


@dataclass(frozen=True, slots=True)
class Lane:
    """What one estimator says of a chain.

    Attributes
    ----------
    label
        The estimator's label.
    shades
        The place of each token's unit, [token], from 0 (least important) to 1; see
        `tokimp.report.places.unit_places`. NaN where the estimator says nothing.
    titles
        [token]: the numbers of its unit.
    top
        The texts of the most important units, the most important first.
    left
        The text that is left at the keep ratio; ``None`` where no keep ratio was asked for.
    """

    label: str
    shades: FloatArray
    titles: list[str]
    top: list[str]
    left: str | None


@dataclass(frozen=True, slots=True)
class ShownChain:
    """A chain as `tokimp.show` displays it. A notebook shows it as HTML; ``print`` writes it to a terminal.

    Attributes
    ----------
    heading
        The chain's id.
    question, answer
        Its texts.
    texts
        What each token adds to the reasoning, [token].
    lanes
        One for each estimator.
    """

    heading: str
    question: str
    answer: str
    texts: list[str]
    lanes: list[Lane]

    def _repr_html_(self) -> str:
        """Return the chain as HTML; all text of the chain is escaped."""
        parts = [
            f"<p><b>{_escaped(self.heading)}</b></p>",
            f'<p style="white-space:pre-wrap" dir="auto">{_escaped(self.question)}</p>',
        ]
        for lane in self.lanes:
            tokens = "".join(
                f'<span title="{_escaped(title)}" style="{_style(shade)}">{_escaped(text)}</span>'
                for text, shade, title in zip(self.texts, lane.shades.tolist(), lane.titles, strict=True)
            )
            parts.append(f"<p><small>{_escaped(lane.label)}</small></p>")
            parts.append(f'<p style="white-space:pre-wrap;line-height:1.7" dir="auto">{tokens}</p>')
            if lane.left is not None:
                parts.append(
                    f'<p style="white-space:pre-wrap" dir="auto"><small>left:</small> {_escaped(lane.left)}</p>'
                )
        parts.append(f'<p style="white-space:pre-wrap" dir="auto">{_escaped(self.answer)}</p>')
        return f'<div class="tokimp-chain">{"".join(parts)}</div>'

    def __rich__(self) -> Text:
        """Return the chain as rich text, its tokens on shaded grounds."""
        shown = Text(f"{visible(self.heading)}\n", style="bold")
        shown.append(f"{visible(self.question)}\n", style="not bold")
        for lane in self.lanes:
            shown.append(f"\n{visible(lane.label)}\n", style="bold underline")
            for text, shade in zip(self.texts, lane.shades.tolist(), strict=True):
                shown.append(visible(text), style=_terminal_style(shade))
            shown.append("\n")
            # Where there are no colours, this is all that tells the lanes apart.
            shown.append(f"most important: {visible(', '.join(map(repr, lane.top)))}\n", style="dim")
            if lane.left is not None:
                shown.append(f"left: {visible(lane.left)}\n", style="not bold")
        shown.append(f"\n{visible(self.answer)}", style="not bold")
        return shown

    def __repr__(self) -> str:
        """Return the chain as a terminal shows it: in colours where standard output is one."""
        stream = io.StringIO()
        console = Console(
            file=stream,
            force_terminal=sys.stdout.isatty(),
            force_jupyter=False,  # in a notebook rich would display the chain, beside the HTML that is shown already
            color_system="truecolor" if sys.stdout.isatty() else None,
            width=shutil.get_terminal_size().columns,
        )
        console.print(self.__rich__())
        return stream.getvalue().rstrip("\n")


def show(
    result: xr.DataTree,
    chain: str | int = 0,
    estimators: str | Sequence[str] | None = None,
    *,
    keep_ratio: float | None = None,
) -> ShownChain:
    """Show a chain's reasoning once for each estimator, the important tokens darkest.

    The last line of a notebook's cell displays it; in a script, print it.

    Parameters
    ----------
    result
        A result of `tokimp.compare`.
    chain
        The chain's id, or its place in the result.
    estimators
        Labels or names of the estimators to show, in this order; all by default.
    keep_ratio
        If given, the text that is left at this share of units is shown too.

    Raises
    ------
    SchemaError
        If there is no such chain.
    EstimatorError
        If there is no such estimator; or, with a `keep_ratio`, if one does not say what is left.
    """
    ids = chain_ids(result)
    if isinstance(chain, int):
        chain = ids[chain] if -len(ids) <= chain < len(ids) else f"number {chain}"
    part = one_chain(result, chain)
    labels = [str(label) for label in part["estimator"].to_numpy()]
    names = labels if estimators is None else [estimators] if isinstance(estimators, str) else list(estimators)
    wanted = [estimator_label(result, name) for name in names]
    texts = token_texts(str(part["reasoning"].item()), part["token_end"].to_numpy().tolist())
    scores, units, ranks = unit_scores(part), part["unit"].to_numpy(), part["rank"].to_numpy()
    places, lanes = unit_places(part), []
    for label in wanted:
        row = labels.index(label)
        titles = [
            f"unit {unit}: importance {scores[row, unit]:.4g}, rank {rank}"
            for unit, rank in zip(units.tolist(), ranks[row].tolist(), strict=True)
        ]
        left = None if keep_ratio is None else pruned_text(result, chain, label, keep_ratio)
        silent = np.isnan(places[row]).any()
        top = [] if silent else top_units(result, chain, label, _TOP)["text"].tolist()
        lanes.append(Lane(label, places[row, units], titles, top, left))
    return ShownChain(chain, str(part["question"].item()), str(part["answer"].item()), texts, lanes)


def _style(shade: float) -> str:
    if np.isnan(shade):
        return "opacity:0.6"
    ground = f"background:rgba({','.join(map(str, _BLUE))},{shade * _STRONGEST:.3f})"
    return f"{ground};color:#fff" if shade > _LIGHT_TEXT_FROM else ground


def _terminal_style(shade: float) -> Style:
    if np.isnan(shade):
        return Style(dim=True)
    opacity = shade * _STRONGEST
    red, green, blue = (round(255 + (part - 255) * opacity) for part in _BLUE)
    return Style(
        bgcolor=f"rgb({red},{green},{blue})", color="rgb(255,255,255)" if shade > _LIGHT_TEXT_FROM else "rgb(28,28,28)"
    )


def _escaped(text: str) -> str:
    return html.escape(visible(text))
