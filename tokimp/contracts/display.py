"""How scorers, plugins and importances show themselves: one line where they are printed, HTML in a notebook."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tokimp.chains.display import escaped, html_table
from tokimp.contracts.described_parameters import described_parameters, summary
from tokimp.contracts.parameters import Parameterized, parameter_text

if TYPE_CHECKING:
    from tokimp.contracts.estimator import Importance
    from tokimp.contracts.scorer import Scorer

_SHOWN = 10  # of the most important units
_IDENTITY = ("backend", "device", "dtype")


def scorer_line(scorer: Scorer) -> str:
    """Return a scorer on one line: its model, and where the numbers come from; ``...`` stands for what it lacks."""
    named = [f"{name}={getattr(scorer, name, ...)!r}".replace("Ellipsis", "...") for name in _IDENTITY]
    return f"{type(scorer).__name__}({_model(scorer)!r}, {', '.join(named)})"


def scorer_html(scorer: Scorer) -> str:
    """Return a scorer as HTML: its model, what it can be asked for, and how much has passed through it."""
    length = getattr(scorer, "context_length", None)
    rows = [
        *((name, str(getattr(scorer, name, "..."))) for name in _IDENTITY),
        ("context length", "no limit" if length is None else f"{length:,} tokens"),
        ("can be asked for", ", ".join(sorted(scorer.capabilities)) or "nothing"),
        ("passed through so far", f"{scorer.tokens_forwarded:,} token positions"),
    ]
    return _block(f"{type(scorer).__name__}: {_model(scorer)}", "", rows)


def plugin_html(plugin: Parameterized) -> str:
    """Return a plugin with its parameters as HTML: what it does, what each is set to, and what each means."""
    rows = [
        (
            described.name,
            parameter_text(getattr(plugin, described.name)) if hasattr(plugin, described.name) else "...",
            "must be given" if described.default is None else described.default,
            described.allowed,
            described.meaning,
        )
        for described in described_parameters(type(plugin))
    ]
    requires = ", ".join(sorted(getattr(plugin, "requires", ())))
    detail = summary(type(plugin)) + (f" Requires: {requires}." if requires else "")
    return _block(plugin.name, detail, rows, ("parameter", "value", "default", "allowed", "meaning") if rows else ())


def importance_line(importance: Importance) -> str:
    """Return an importance on one line: how many units, their range, and what else it says.

    Anybody's importance can be shown, one that breaks the contract too: the error that says so shows it.
    """
    try:
        return _line(importance)
    except (AttributeError, TypeError, ValueError):
        scores, diagnostics = reprlib.repr(importance.scores), reprlib.repr(importance.diagnostics)
        return f"Importance(scores={scores}, diagnostics={diagnostics})"


def _line(importance: Importance) -> str:
    scores = np.asarray(importance.scores)
    parts = [f"{scores.size} unit{'s' * (scores.size != 1)}"]
    if scores.size:
        parts.append(f"scores {scores.min():.4g} to {scores.max():.4g}")
    if importance.order is not None:
        parts.append(f"{int((np.asarray(importance.order) >= 0).sum())} deleted in order")
    parts += [name for name in ("trajectory", "effects", "effects_on_answer") if getattr(importance, name) is not None]
    parts += [f"{name}={value:.4g}" for name, value in importance.diagnostics.items()]
    return f"Importance({', '.join(parts)})"


def importance_html(importance: Importance) -> str:
    """Return an importance as HTML: its most important units, and its diagnostics."""
    try:
        return _html(importance)
    except (AttributeError, IndexError, TypeError, ValueError):
        return f"<code>{escaped(importance_line(importance))}</code>"


def _html(importance: Importance) -> str:
    scores = np.asarray(importance.scores)
    best = np.argsort(-scores, kind="stable")[:_SHOWN].tolist()
    order = None if importance.order is None else np.asarray(importance.order)
    rows = [
        (
            str(unit),
            f"{scores[unit]:.6g}",
            *(() if order is None else (str(order[unit]) if order[unit] >= 0 else "kept",)),
        )
        for unit in best
    ]
    headings = ("unit", "score", *(() if order is None else ("deleted at step",)))
    more = "" if scores.size <= _SHOWN else f" The {_SHOWN} most important of them:"
    block = _block(importance_line(importance), f"{scores.size} units; higher is more important.{more}", rows, headings)
    if not importance.diagnostics:
        return block
    numbers = [(name, f"{value:.6g}") for name, value in importance.diagnostics.items()]
    return block + _block("Diagnostics", "", numbers)


def _model(scorer: Scorer) -> str:
    return str(getattr(scorer, "model_id", "..."))


def _block(heading: str, detail: str, rows: Sequence[tuple[str, ...]], headings: tuple[str, ...] = ()) -> str:
    cells = [tuple(map(escaped, row)) for row in rows]
    shown = f"<p>{escaped(detail)}</p>" if detail else ""
    table = html_table(cells, headings) if cells else ""
    return f'<div class="tokimp"><p><b>{escaped(heading)}</b></p>{shown}{table}</div>'
