"""A chain as it will be tokenised, on a terminal: its tokens, the units they are deleted in, and their categories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tokimp.chains.chain import TokenizedChain
from tokimp.chains.display import token_counts
from tokimp.chains.span_encoder import SpanEncoder
from tokimp.chains.token_texts import token_texts
from tokimp.chains.units import token_categories, token_units
from tokimp.chains.visible_text import visible
from tokimp.report.terminal import keep_words_whole, new_table

UNIT_BORDER, TOKEN_BORDER = "│", "┊"
"""What stands between two units, and between two tokens of one unit; signs that texts hardly ever hold."""

_COLOURS = ("blue", "magenta", "green", "cyan", "yellow", "red")
_EXAMPLES = 8  # tokens of a category that are listed
_LABEL = 11  # characters of the widest label, with its space


def chain_tokens(chain: TokenizedChain, tokenizer: Any) -> Text:
    """Return a chain as rich text: its prompt, reasoning and answer, with a mark wherever one token meets another.

    A line break is shown as ``↵``, and the line is broken there. Tokens with a category have its colour, and the
    categories are listed below with their tokens, where colours do not reach.

    Parameters
    ----------
    chain
        The chain.
    tokenizer
        The tokenizer that made its ids.
    """
    encoder = SpanEncoder.of(tokenizer)
    reasoning = _texts(chain)
    owners = token_units(chain).tolist()
    labels = token_categories(chain.chain, chain.reasoning_offsets)
    styles = dict(zip(sorted({label for label in labels if label}), _cycled(), strict=False))
    shown = Text(f"{chain.id}", style="bold")
    shown.append(f"  {token_counts(chain)}", style="not bold")
    for name, ids in (("prompt", chain.prompt_ids), ("reasoning", None), ("answer", chain.answer_ids)):
        shown.append(f"\n  {name:<{_LABEL}}", style="not bold dim")
        if ids is not None:
            shown.append(visible(_broken(UNIT_BORDER.join(_decoded(ids, encoder)))), style="not bold")
            continue
        for place, (text, owner, label) in enumerate(zip(reasoning, owners, labels, strict=True)):
            if place:
                border = UNIT_BORDER if owner != owners[place - 1] else TOKEN_BORDER
                shown.append(border, style="not bold dim")
            broken = _broken(text, last=place == len(owners) - 1)
            shown.append(visible(broken), style=f"not bold {styles.get(label, '')}")
    if chain.answer_value is not None:
        start, end = chain.answer_value
        value = encoder.decode(chain.answer_ids[start:end])
        shown.append(f"\n  {'value':<{_LABEL}}", style="not bold dim")
        shown.append(f"{visible(repr(value))}, answer tokens {start} to {end} (exclusive), from 0", style="not bold")
    for label, style in styles.items():
        tokens = [text for text, own in zip(reasoning, labels, strict=True) if own == label]
        different = list(dict.fromkeys(text.strip() for text in tokens))
        examples = ", ".join([*map(repr, different[:_EXAMPLES]), *["..."] * (len(different) > _EXAMPLES)])
        shown.append(f"\n  {'category':<{_LABEL}}", style="not bold dim")
        shown.append(visible(label), style=f"not bold {style}")
        shown.append(f" ({len(tokens)} of {len(labels)} tokens): {visible(examples)}", style="not bold")
    return shown


def token_table(chain: TokenizedChain) -> Table:
    """Return a chain's reasoning as a table, a row for each token: its unit, id, text, characters and category."""
    table = new_table("")
    for heading in ("token", "unit", "id", "text", "characters", "category"):
        table.add_column(heading, justify="left" if heading in {"text", "category"} else "right")
    labels = token_categories(chain.chain, chain.reasoning_offsets)
    rows = zip(token_units(chain).tolist(), chain.reasoning_ids, _texts(chain), chain.reasoning_offsets, strict=True)
    for place, (owner, token, text, (start, end)) in enumerate(rows):
        cells = (place, owner, token, repr(text), f"{start}-{end}", labels[place])
        table.add_row(*(escape(str(cell)) for cell in cells))
    return keep_words_whole(table)


def _texts(chain: TokenizedChain) -> list[str]:
    return token_texts(chain.chain.reasoning, [end for _, end in chain.reasoning_offsets])


def _decoded(ids: Sequence[int], encoder: SpanEncoder) -> list[str]:
    """Return the text of each id; that of a character split over several ids stands at the first of them.

    Decoders leave out the space before the first token of what they are given. So each token is read after the one
    before it, with all its bytes, whose text is then taken off.
    """
    texts: list[str] = []
    previous = begin = 0
    for end in range(1, len(ids) + 1):
        before = encoder.decode(ids[previous:begin])
        text = encoder.decode(ids[previous:end])
        if end == len(ids) or not text.endswith("\ufffd"):
            texts += [text.removeprefix(before), *[""] * (end - begin - 1)]
            previous, begin = begin, end
    return texts


def _broken(text: str, *, last: bool = True) -> str:
    """Return a text whose line breaks can be seen, and go on below its beginning; nothing goes on after the last."""
    margin = "\n" + " " * (2 + _LABEL)
    broken = text.replace("\n", f"↵{margin}")
    return broken.removesuffix(margin) if last else broken


def _cycled() -> Iterator[str]:
    while True:
        yield from _COLOURS
