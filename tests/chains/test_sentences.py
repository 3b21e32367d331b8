"""Sentences of reasoning chains: where they end, and where only an abbreviation, a formula or a list item does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokimp.chains.sentences import sentence_starts


def starts_of(sentences: list[str]) -> list[int]:
    """Return where each sentence of a text in pieces begins: at its first character that is not white space."""
    starts, position = [], 0
    for sentence in sentences:
        starts.append(position + len(sentence) - len(sentence.lstrip()))
        position += len(sentence)
    return starts


@pytest.mark.parametrize(
    "sentences",
    [
        # Stops of words, units and numbers.
        ["He pays 3.5 dollars. ", "Mr. Ray pays $7."],
        ["Use primes, e.g. 7, i.e. small ones! ", 'Is it "so?" ', "(Yes.) ", "See No. 3 in Fig. 2."],
        ["At 6 p.m. the shop closes. ", "Then we leave."],
        ["The U.S. has 50 states. ", "J. Smith counted them."],
        ["He lives in the U.S. ", "She does not."],
        ["It weighs 80 lbs. of rice. ", "It is 5 ft. by 6 in. wide. ", "He came in. ", "Done."],
        ["On Jan. 5 he left. ", "He came back."],
        ["Smith et al. show this. ", "See Smith et al. (2020). ", "We use it."],
        ["It costs approx. 5 dollars. ", "We use Eq. 3 and Thm. 2. ", "Then Sec. 4."],
        ["There are 7! ways. ", "So 5! = 120, and n! more. ", "Is it? ", "Yes! ", "Done."],
        ["So x is 18 m. ", "Then the change in x. ", "The rest (of G. ", "However, 2) is 3."],
        ["The answer is C. ", "Since x is 4, we stop."],
        # No and dots.
        ["The answer is no. ", "5 more are left."],
        ["Is it right? ", "No. ", "5 more are left. ", "See house no. 5 there."],
        ["Wait... is that right? ", "No. ", "Hmm... ", "Let me think."],
        ["That is wrong... wait"],
        # Stops without a space, in writing without spaces, and of other scripts.
        ["So x=2.", "Then y=3. ", "He got 3.5.", "Then he left."],
        ["See www.example.com or math.Floor (x). ", "Go."],
        ["还剩2个！", "对吗？", "是的。"],  # noqa: RUF001 - full-width marks are meant
        ["共有5个.", "小明拿走2个!", "还剩3个.", "对吗?", "对。"],
        ["嗯...让我想想。", "好。"],
        ["これは七です。", "そうですか？", "はい。"],  # noqa: RUF001 - full-width marks are meant
        ["राम के पास 5 सेब हैं। ", "वह 2 खाता है।"],
        ["هل هذا صحيح؟ ", "نعم."],
        ["Ο Γιάννης έχει 3; ", "Ναι."],  # noqa: RUF001 - Greek is meant
        # Lines, lists and marks.
        ["Janet sells 9 eggs\n", "She makes 9 * 2 = $18\n\n", "Done"],
        ["Let us list:\n", "1. Add 3. ", "Then stop.\n", "2. Subtract"],
        ["The sum is\n", "12. ", "Then we go."],
        ["Then 5 + 7 = 12. ", "2. Subtract 3."],
        ["**Step 1.** ", "Then **stop.** ", "Now"],
        ['He said "Go." ', "Then left. ", '"Stop." he said. ', "OK."],
        ["x = 3. ", "y = 4. ", "he has 3. ", "then he buys."],
        ["So we have (8 / 625) + (4 (2x + 2) + 625) + 1. ", "OK."],
        # Mathematics and code.
        ["We get $x=3.$ ", "Then y is 4."],
        ["It costs $5.00 now. ", "He pays $6. ", "Then $x$. ", "Done."],
        ["If $k!$ has $99$ factors, stop. ", "We see $a. b$ here. ", "OK."],
        ["We have\n", "$$\nx = 3. Y\n\nz\n$$\n", "So 5."],
        ["We have \\[ a = b. \\] ", "Then \\( c. d \\) is. ", "So \\boxed{5. 6}."],
        ["\\begin{align}\na &= 1. \\\\\nb &= 2.\n\\end{align}\n", "Thus 3."],
        ["Run\n", "```python\na = 1. \n\nb\n```\n", "It prints `a. B`. ", "OK."],
        ["Then\n", "```\nnever. Closed"],
        ["So $\\left. x \\right. + 2$ it is and \\right. 2. ", "OK."],
        # Symbols alone are no sentence.
        ["Done.\n---\n", "So 3.\n$$\n", "y"],
        ["$$\n**\nSo 3. ", "Then."],
    ],
)
def test_sentences(sentences: list[str]) -> None:
    """A sentence ends where a reader would end it; formulas, code, abbreviations and list items stay whole."""
    text = "".join(sentences)
    found = sentence_starts(text)
    assert [text[start:end] for start, end in zip(found, [*found[1:], None], strict=True)] == [
        text[start:end] for start, end in zip(starts_of(sentences), [*starts_of(sentences)[1:], None], strict=True)
    ]


def test_a_language_can_be_named() -> None:
    """The abbreviations of the language count: German's in German, and not in English."""
    text = "Das sind ca. 5 kg Mehl bzw. Zucker. Dann gehen wir."
    assert sentence_starts(text, "de") == [0, text.index("Dann")]


@given(text=st.text(st.sampled_from(list("aB3. \n!$`\\[]()é😀是。x")), max_size=40))
@settings(max_examples=300, deadline=None)
def test_sentences_begin_at_visible_characters(text: str) -> None:
    """Whatever the text, starts ascend, are visible characters, and the first visible character is one of them."""
    starts = sentence_starts(text)
    assert starts == sorted(set(starts))
    assert not any(text[start].isspace() for start in starts)
    assert starts[:1] == [place for place, character in enumerate(text) if not character.isspace()][:1]
