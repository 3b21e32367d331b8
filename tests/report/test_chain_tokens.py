"""A chain as it will be tokenised, on a terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from tests.chains import tokenizers
from tokimp.chains.chain import CategorySpan, Chain
from tokimp.chains.display import token_counts
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.models.configuration import load_tokenizer
from tokimp.report.chain_tokens import chain_tokens, token_table

CHAIN = Chain("a", "How many?", "So 3+4=7.\nIt is 7.", "#### 7", category=(CategorySpan(3, 8, "symbolic_math"),))


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Return the tokenizer of the embedded model."""
    return load_tokenizer("tiny")


def lines_of(chain: Chain, tokenizer: Any, unit: str = "token") -> list[str]:
    """Return what is shown of a chain, as lines."""
    return chain_tokens(tokenize_chain(chain, tokenizer, unit=unit), tokenizer).plain.splitlines()


def test_every_token_has_its_borders(tokenizer: Any) -> None:
    """Units are apart by one mark, tokens of a unit by another, and without them the text is the chain's."""
    tokens = tokenize_chain(CHAIN, tokenizer, unit="sentence")
    shown = chain_tokens(tokens, tokenizer).plain
    reasoning = shown.partition("reasoning  ")[2].partition("\n  answer")[0]
    assert reasoning.count("│") == len(tokens.units) - 1 == 1
    assert reasoning.count("┊") == len(tokens.reasoning_ids) - len(tokens.units)
    plain = reasoning.replace("│", "").replace("┊", "").replace("↵\n" + " " * 13, "\n")
    assert plain == CHAIN.reasoning


def test_counts_value_and_categories_are_told(tokenizer: Any) -> None:
    """The first line counts tokens and units; below stand the answer's value and each category with its tokens."""
    lines = lines_of(CHAIN, tokenizer)
    assert lines[0] == f"a  {token_counts(tokenize_chain(CHAIN, tokenizer))}"
    assert any(line.startswith("  value      '7', answer tokens") for line in lines)
    assert any(line.startswith("  category   symbolic_math (5 of ") and "'3', '+', '4'" in line for line in lines)


def test_text_is_data(tokenizer: Any) -> None:
    """Marks that turn the direction of writing are written out, and markup of the terminal's library is text."""
    hostile = replace(CHAIN, id="[red]x[/]", reasoning="A [bold]b[/bold] \u202e c.", category=())
    assert tokenizer is not None
    tokens = tokenize_chain(hostile, tokenizer)
    shown = chain_tokens(tokens, tokenizer).plain
    assert "\u202e" not in shown
    assert shown.startswith("[red]x[/]")
    console = Console(width=200)
    with console.capture() as capture:
        console.print(token_table(tokens))
    assert "'['" in capture.get()


def test_a_table_has_a_row_for_each_token(tokenizer: Any) -> None:
    """Unit, id, text, characters and category of every reasoning token stand in a row."""
    tokens = tokenize_chain(CHAIN, tokenizer, unit="word")
    table = token_table(tokens)
    assert table.row_count == len(tokens.reasoning_ids)
    cells = {str(column.header): list(column.cells) for column in table.columns}
    assert cells["id"] == [str(token) for token in tokens.reasoning_ids]
    assert cells["characters"] == [f"{start}-{end}" for start, end in tokens.reasoning_offsets]
    assert cells["category"].count("symbolic_math") == 5


@pytest.mark.parametrize("kind", ["byte_level", "sentencepiece", "unigram"])
def test_prompts_of_every_kind_of_tokenizer_are_shown_whole(kind: str) -> None:
    """Spaces and characters of several bytes are shown in the prompt and the answer, without marks of lost bytes."""
    tokenizer = {
        "byte_level": tokenizers.byte_level(bos=True),
        "sentencepiece": tokenizers.sentencepiece("first"),
        "unigram": tokenizers.unigram(),
    }[kind]
    chain = Chain("a", "the thing is 🙂?", "so the thing", "the é")
    shown = chain_tokens(tokenize_chain(chain, tokenizer, "plain"), tokenizer).plain.replace("│", "")
    assert "the thing is 🙂?" in shown
    assert "the é" in shown
    assert "\ufffd" not in shown
