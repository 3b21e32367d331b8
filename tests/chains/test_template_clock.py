"""The clock of chat templates: it stands still, and changes nothing else in a template."""

from __future__ import annotations

import pytest

from tests.chains.tokenizers import CHATML, DATED, byte_level, decode
from tokimp.chains.chain import Chain
from tokimp.chains.template_clock import TEMPLATE_DATE, with_stopped_clock
from tokimp.contracts.tokenization import tokenize_chain


def test_a_template_that_writes_the_date_writes_the_same_on_any_day() -> None:
    """Every directive of the date is that of the pinned day."""
    tokenizer = byte_level(template=DATED)
    tokens = tokenize_chain(Chain("c", "How many?", "So 7.", "7"), tokenizer)
    expected = "Today is 2024-07-26, 26 July, Friday 26 Jul 24 208%.\n[user] How many?\n[assistant] "
    assert decode(tokenizer, tokens.prompt_ids) == expected


@pytest.mark.parametrize("directives", ["%H:%M:%S %p", "%d/%m/%Y", "%%Y %%%Y", "%-d.%-m.", "%c", "no date", "%A%B%a%b"])
def test_the_stopped_clock_writes_what_strftime_does(directives: str) -> None:
    """The macro in the template and Python's own function agree."""
    tokenizer = byte_level()
    template = with_stopped_clock(
        "\n  {% if strftime_now is defined %}{{ strftime_now('" + directives + "') }}{% endif %}"
    )
    rendered = tokenizer.apply_chat_template([{"role": "user", "content": "?"}], chat_template=template, tokenize=False)
    assert rendered == "\n" + TEMPLATE_DATE.strftime(directives)


def test_other_templates_stay_as_they_are() -> None:
    """A template that asks for no date is not touched."""
    assert with_stopped_clock(CHATML) == CHATML
