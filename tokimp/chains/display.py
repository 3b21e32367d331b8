"""How chains show themselves: one line where they are printed, HTML in a notebook. All text in it is data."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.chains.token_texts import token_texts
from tokimp.chains.units import token_categories, token_units
from tokimp.chains.visible_text import visible

_LONGEST = 60  # characters of a text on one line
# Okabe and Ito's colours, thin enough to read black or white letters on.
_TINTS = ("0,114,178", "213,94,0", "0,158,115", "204,121,167", "230,159,0", "86,180,233", "139,111,71")
_TEXT = 'style="white-space:pre-wrap;line-height:1.6;text-align:left" dir="auto"'


def chain_line(chain: Chain) -> str:
    """Return a chain on one line: its texts, long ones cut, and what else it has."""
    texts = [f"{name}={_cut(getattr(chain, name))}" for name in ("question", "reasoning", "answer")]
    texts += [
        f"{name}={_cut(text)}"
        for name in ("gold", "system", "wrong_answer")
        if (text := getattr(chain, name)) is not None
    ]
    if chain.category:
        texts.append(_spans(len(chain.category), "category"))
    if chain.filler is not None:
        texts.append(_spans(len(chain.filler), "filler"))
    return f"Chain({chain.id!r}, {', '.join(texts)})"


def tokenized_chain_line(chain: TokenizedChain) -> str:
    """Return a tokenised chain on one line: how many tokens and units it has."""
    return f"TokenizedChain({chain.id!r}: {token_counts(chain)})"


def token_counts(chain: TokenizedChain) -> str:
    """Return a chain's numbers of tokens and units, the kind of its units, and its prompt format, on one line."""
    prompt, reasoning, answer = (len(ids) for ids in (chain.prompt_ids, chain.reasoning_ids, chain.answer_ids))
    return (
        f"{prompt} prompt + {reasoning} reasoning + {answer} answer tokens; "
        f"{len(chain.units)} unit{'s' * (len(chain.units) > 1)} ({chain.unit}); prompt format {chain.prompt_format}"
    )


def chain_html(chain: Chain) -> str:
    """Return a chain as HTML: its texts as they are, the reasoning tinted by category."""
    tints = _category_tints(span.label for span in chain.category)
    parts, done = list[str](), 0
    for span in sorted(chain.category, key=lambda span: (span.start, span.end)):
        if span.start >= done:
            parts.append(escaped(chain.reasoning[done : span.start]))
            parts.append(_tinted(chain.reasoning[span.start : span.end], tints[span.label], span.label))
            done = span.end
    parts.append(escaped(chain.reasoning[done:]))
    rows = [("question", escaped(chain.question)), ("reasoning", "".join(parts)), ("answer", escaped(chain.answer))]
    if chain.system is not None:
        rows.insert(0, ("system", escaped(chain.system)))
    rows += [
        (name.replace("_", " "), escaped(text))
        for name in ("gold", "wrong_answer")
        if (text := getattr(chain, name)) is not None
    ]
    # A notebook is sent to others: the folders of this machine are none of their business.
    return _page(chain.id, chain.source.rpartition("/")[2], rows, tints)


def tokenized_chain_html(chain: TokenizedChain) -> str:
    """Return a tokenised chain as HTML: units apart by lines, tokens tinted by category, their numbers on hovering."""
    labels = token_categories(chain.chain, chain.reasoning_offsets)
    tints = _category_tints(labels)
    owners = token_units(chain).tolist()
    texts = token_texts(chain.chain.reasoning, [end for _, end in chain.reasoning_offsets])
    parts = []
    for place, (text, owner, label) in enumerate(zip(texts, owners, labels, strict=True)):
        title = f"token {place}, id {chain.reasoning_ids[place]}, unit {owner}{f', {label}' if label else ''}"
        last = place + 1 == len(owners) or owners[place + 1] != owner
        parts.append(_tinted(text, tints.get(label, ""), title, border="solid" if last else "dotted"))
    rows = [
        ("question", escaped(chain.chain.question)),
        ("reasoning", "".join(parts)),
        ("answer", escaped(chain.chain.answer)),
    ]
    return _page(chain.id, token_counts(chain), rows, tints)


def escaped(text: str) -> str:
    """Return a text that HTML shows as it is, with characters that would steer a terminal or turn it written out."""
    return html.escape(visible(text))


def html_table(rows: Sequence[tuple[str, ...]], headings: tuple[str, ...] = ()) -> str:
    """Return rows of HTML as a table whose text is at the left; cells must be escaped already."""
    head = "".join(f'<th style="text-align:left">{heading}</th>' for heading in headings)
    head = head and f"<tr>{head}</tr>"
    body = "".join(f"<tr>{''.join(f'<td {_TEXT}>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{head}{body}</table>"


def _page(heading: str, detail: str, rows: Sequence[tuple[str, str]], tints: dict[str, str]) -> str:
    legend = " ".join(_tinted(label, tint, label) for label, tint in tints.items())
    small = f"<small>{legend}</small>" if legend else ""
    title = f"<p><b>{escaped(heading)}</b> <small>{escaped(detail)}</small></p>"
    return f'<div class="tokimp">{title}{html_table(rows)}{small}</div>'


def _category_tints(labels: Iterable[str]) -> dict[str, str]:
    known = sorted({label for label in labels if label})
    return {label: _TINTS[place % len(_TINTS)] for place, label in enumerate(known)}


def _tinted(text: str, tint: str, title: str, *, border: str = "") -> str:
    style = f"background:rgba({tint},0.25);" if tint else ""
    style += f"border-right:1px {border} #8888" if border else ""
    return f'<span style="{style}" title="{escaped(title)}">{escaped(text)}</span>'


def _spans(number: int, kind: str) -> str:
    return f"{number} {kind} span{'s' * (number != 1)}"


def _cut(text: str) -> str:
    return repr(text) if len(text) <= _LONGEST else f"{text[:_LONGEST]!r}... ({len(text):,} characters)"
