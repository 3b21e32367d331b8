"""How chains show themselves."""

from __future__ import annotations

import html.parser
import re
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tokimp.chains.chain import CategorySpan, Chain
from tokimp.testing.toy_scorer import toy_chain

HOSTILE = '<script>alert("1")</script> & \u202eback\x1b[31m'


class _Parser(html.parser.HTMLParser):
    """Collects the text and the names of the tags of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self.tags: set[str] = set()

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)


def parsed(page: str) -> tuple[str, set[str]]:
    """Return the text of a page, and its tags."""
    parser = _Parser()
    parser.feed(page)
    return "".join(parser.text), parser.tags


def test_a_chain_is_one_line_with_long_texts_cut() -> None:
    """Short texts are whole, long ones say how long they are, and what the chain lacks is not listed."""
    chain = Chain("a", "How many?", "So " * 100, "7", gold="7", filler=())
    assert repr(chain) == (
        f"Chain('a', question='How many?', reasoning={('So ' * 100)[:60]!r}... (300 characters), "
        "answer='7', gold='7', 0 filler spans)"
    )


def test_a_tokenised_chain_says_how_large_it_is() -> None:
    """The numbers of tokens and units are those of the chain."""
    chain = toy_chain("one two")
    assert repr(chain) == (
        f"TokenizedChain({chain.id!r}: {len(chain.prompt_ids)} prompt + 7 reasoning + {len(chain.answer_ids)} answer "
        "tokens; 7 units (token); prompt format plain)"
    )


_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"]), min_size=1)


@given(reasoning=_TEXT.filter(lambda text: bool(text.strip())), cuts=st.tuples(st.integers(0, 9), st.integers(1, 9)))
@settings(max_examples=60, deadline=None)
def test_the_whole_reasoning_is_shown_once(reasoning: str, cuts: tuple[int, int]) -> None:
    """However categories cut it, and whatever it holds, the page's text has the reasoning as it is."""
    start = min(cuts[0], len(reasoning) - 1)
    spans = (CategorySpan(start, min(start + cuts[1], len(reasoning)), "<b>"),)
    text, tags = parsed(Chain("a", "?", reasoning, "7", category=spans)._repr_html_())
    assert reasoning in text
    assert tags == {"div", "p", "b", "small", "table", "tr", "td", "span"}


def test_text_is_data() -> None:
    """Tags, quotes, marks that turn the direction of writing and control characters are shown, and do nothing."""
    chain = Chain(
        HOSTILE, HOSTILE, HOSTILE, HOSTILE, gold=HOSTILE, system=HOSTILE, wrong_answer=HOSTILE, source=HOSTILE
    )
    tokens = replace(toy_chain("ab"), chain=replace(toy_chain("ab").chain, id=HOSTILE, question=HOSTILE))
    for page in (chain._repr_html_(), tokens._repr_html_()):
        text, tags = parsed(page)
        assert "script" not in tags
        assert '<script>alert("1")</script>' in text
        assert not re.search("[\u202e\x1b]", page)
    for line in (repr(chain), repr(tokens)):
        assert not re.search("[\u202e\x1b]", line)


def test_units_and_categories_are_told_apart() -> None:
    """A solid border ends each unit, and hovering over a token tells its id, unit and category."""
    chain = toy_chain("one two", unit="word")
    chain = replace(chain, chain=replace(chain.chain, category=(CategorySpan(0, 3, "number"),)))
    page = chain._repr_html_()
    assert page.count("1px solid") == len(chain.units) == 2
    assert page.count("1px dotted") == len(chain.reasoning_ids) - 2
    assert f'title="token 0, id {chain.reasoning_ids[0]}, unit 0, number"' in page
    assert f'title="token 6, id {chain.reasoning_ids[6]}, unit 1"' in page


def test_folders_of_the_machine_are_not_shown() -> None:
    """Of the file that a chain was read from, the name and the line are shown."""
    page = Chain("a", "?", "So 7.", "7", source="/home/somebody/chains.jsonl:3")._repr_html_()
    assert "chains.jsonl:3" in page
    assert "somebody" not in page
