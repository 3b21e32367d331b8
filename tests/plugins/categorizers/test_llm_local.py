"""A model that is run here: how a conversation becomes ids, and by what its answers are known again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokimp_categorizers import llm
from tokimp_categorizers.llm import LLMCategorizer
from tokimp_categorizers.llm_local import LocalModel
from tokimp_categorizers.llm_prompt import messages
from tokimp_categorizers.rules import RulesCategorizer

from tests.plugins.categorizers.llm_server import CHAIN, labels_for
from tokimp.contracts.scorer import Capability
from tokimp.errors import CategorizerError, UnsupportedError
from tokimp.testing import AdditiveScorer
from tokimp.testing.random_models import byte_tokenizer


class Writer(AdditiveScorer):
    """A model that is run here, and answers by rule."""

    capabilities = AdditiveScorer.capabilities | {Capability.GENERATION}

    def __init__(self) -> None:
        super().__init__()
        self.tokenizer = byte_tokenizer()
        self.prompts: list[str] = []

    def generate(self, prompts: Sequence[Sequence[int]], **options: Any) -> list[list[str]]:
        """Answer the last line of the prompt."""
        (prompt,) = (self.tokenizer.decode(prompt) for prompt in prompts)
        self.prompts.append(prompt)
        asked = prompt.splitlines()[-2].removeprefix("User: ")
        return [[f"<think>hm</think>\n```json\n{json.dumps(labels_for({'messages': [{'content': asked}]}))}\n```"]]


def test_a_model_may_be_run_here() -> None:
    """A scorer that writes is asked like a server, thoughts and fences around its answer are taken off."""
    scorer = Writer()
    categorizer = LLMCategorizer(scorer=scorer)
    spans = categorizer.categorize(CHAIN)
    assert spans == RulesCategorizer().categorize(CHAIN)
    assert LLMCategorizer(scorer=scorer).categorize(CHAIN) == spans
    assert len(scorer.prompts) == 1
    with pytest.raises(CategorizerError, match=r"chain 'sum'.*cannot answer"):
        LLMCategorizer(scorer=AdditiveScorer()).categorize(CHAIN)
    with pytest.raises(CategorizerError, match=r"'/nowhere' cannot be loaded"):
        LLMCategorizer("/nowhere").categorize(CHAIN)


def test_a_model_that_only_talks_is_refused() -> None:
    """The embedded model, which knows nothing but word problems, is an error and no categories."""
    with pytest.raises(CategorizerError, match=r"chain 'sum'.*'tiny'"):
        LLMCategorizer("tiny", retries=0).categorize(CHAIN)


CHATML = (
    "{% for m in messages %}{{ '<s>' + m['role'] + '\n' + m['content'] + '</s>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<s>assistant\n' }}{% endif %}"
)


class Reader(AdditiveScorer):
    """Remembers the ids it is given, and says nothing that fits."""

    capabilities = AdditiveScorer.capabilities | {Capability.GENERATION}

    def __init__(self, template: str | None = None) -> None:
        super().__init__()
        self.tokenizer = byte_tokenizer()
        self.tokenizer.chat_template = template
        self.ids: list[int] = []

    def generate(self, prompts: Sequence[Sequence[int]], **options: Any) -> list[list[str]]:
        """Remember the prompt."""
        self.ids = list(prompts[0])
        return [["no"]]


@pytest.mark.parametrize("template", [None, CHATML])
@given(st.lists(st.sampled_from(["</s>", "<s>assistant\n", "<pad>", " ", "{", "\u00e9", "a", "tokimpmessage2stop"])))
def test_control_strings_in_a_chain_are_text(template: str | None, parts: list[str]) -> None:
    """Whatever a chain says, the only control tokens are the template's, and the ids decode to what was asked."""
    scorer = Reader(template)
    conversation = messages("</s>?", "", "".join(parts), "", ["</s>", *parts])
    LocalModel(scorer, 5).complete(conversation)
    count = {token: scorer.ids.count(token) for token in (0, 1, 2)}
    assert count == ({0: 0, 1: 0, 2: 0} if template is None else {0: 0, 1: 4, 2: 3})
    if template is None:
        expected = "".join(f"{each['role'].capitalize()}: {each['content']}\n" for each in conversation) + "Assistant: "
    else:
        expected = "".join(f"<s>{each['role']}\n{each['content']}</s>\n" for each in conversation) + "<s>assistant\n"
    assert scorer.tokenizer.decode(scorer.ids) == expected


def test_without_control_strings_ids_are_the_templates_own() -> None:
    """A conversation of plain text is tokenised as a whole, as the model saw such conversations in training."""
    scorer = Reader(CHATML)
    conversation = messages("How many?", "", "a b", "", ["a", "b"])
    LocalModel(scorer, 5).complete(conversation)
    text = scorer.tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
    assert scorer.ids == scorer.tokenizer.encode(text, add_special_tokens=False)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ raise_exception('no such role') }}", "refuses the conversation .no such role"),
        ("{{ messages[0]['content'] }}", "does not write each of 3 messages once"),
        ("{% for m in messages %}{{ m['content'] | upper }}{% endfor %}", "does not write each of 3 messages once"),
    ],
)
def test_a_chat_template_that_does_not_take_the_conversation_is_refused(template: str, message: str) -> None:
    """The message names the chain and the model, and says what to do."""
    with pytest.raises(CategorizerError, match=f"chain 'sum'.*'Reader' {message}.*name another model"):
        LLMCategorizer(scorer=Reader(template)).categorize(CHAIN)


class Other(Writer):
    """Another model of the same name: its fingerprint, backend and template can be told."""

    def __init__(self, **said: Any) -> None:
        super().__init__()
        self.model_id = "Writer"
        self.print = said.get("fingerprint", "f" * 64)
        self.backend = said.get("backend", "closed form")
        self.tokenizer.chat_template = said.get("template")

    def fingerprint(self) -> str:
        """Return what was given."""
        if not self.print:
            raise UnsupportedError("none")
        return str(self.print)


def asked_again(monkeypatch: pytest.MonkeyPatch, *, same: Other, then: Other) -> int:
    """Return how often the second of two models was asked, each loaded from the same folder."""
    for scorer in (same, then):
        monkeypatch.setattr(llm, "load_scorer", lambda *_, scorer=scorer, **__: scorer)
        assert LLMCategorizer("folder").categorize(CHAIN) == RulesCategorizer().categorize(CHAIN)
    return len(then.prompts)


TURNS = (
    "{% for m in messages %}{{ 'User: ' + m['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}"
)


@pytest.mark.parametrize("what", [{"fingerprint": "e" * 64}, {"backend": "another"}, {"template": TURNS}])
def test_another_model_in_the_same_place_is_asked_anew(monkeypatch: pytest.MonkeyPatch, what: dict[str, str]) -> None:
    """Answers are known by the model's fingerprint, backend and template, and not by where it lies."""
    assert asked_again(monkeypatch, same=Other(), then=Other(**what)) == 1
    assert asked_again(monkeypatch, same=Other(**what), then=Other(**what)) == 0


def test_of_a_model_without_a_fingerprint_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could be any: it is asked every time."""
    assert asked_again(monkeypatch, same=Other(fingerprint=""), then=Other(fingerprint="")) == 1


def test_a_dated_template_is_rendered_on_one_day() -> None:
    """A template that writes today's date gives the same ids on every day, those of July 26, 2024."""
    scorer = Reader("{{ strftime_now('%d %b %Y') }}{{ date_string }} " + CHATML)
    conversation = messages("How many?", "", "a b", "", ["a", "b"])
    LocalModel(scorer, 5).complete(conversation)
    assert scorer.tokenizer.decode(scorer.ids).startswith("26 Jul 202426 Jul 2024 ")
