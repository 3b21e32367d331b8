"""Mistakes that can be known before a model is loaded are said then, by every command that asks or trains one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.chains.tokenizers import CHANNELS
from tests.cli.conftest import Run
from tokimp.testing.random_models import byte_tokenizer, random_model

TAGS = ("--think-tags", "<why>\\n", "\\n</why>\\n")
_EVALUATE = ["evaluate", "word_problems", "--limit", "3", "--out", "e", "--model"]
_SAMPLE = ["sample", "word_problems", "--limit", "3", "--out", "s", "--model"]
_TRAIN = ["train", "chains.jsonl", "--out", "t", "--student"]


@pytest.fixture
def models(tmp_path: Path) -> None:
    """Write three folders of models: of eight positions, with gpt-oss's channels, and without a chat template."""
    for name, longest, template in (("short", 8, None), ("channels", 512, CHANNELS), ("plain", 512, None)):
        tokenizer = byte_tokenizer()
        if template is not None:
            special = ["<|start|>", "<|channel|>", "<|message|>", "<|end|>"]
            tokenizer.add_special_tokens({"additional_special_tokens": special})
            tokenizer.chat_template = template
        model = random_model("llama", max_position_embeddings=longest)
        model.resize_token_embeddings(len(tokenizer))
        model.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)


@pytest.fixture
def unread(chains_file: Path, models: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Write an empty folder and an evaluation of one other question, and let the reading of weights fail."""
    others = tmp_path / "others"
    (tmp_path / "b").mkdir()
    others.mkdir()
    numbers = {"task": "t", "model_id": "m", "fingerprint": "f", "n": 1, "accuracy": 1, "low": 0, "high": 1}
    numbers |= {"interval": "wilson", "confidence": 0.95, "unparsed": 0, "reasoning_tokens": 1, "tokens_forwarded": 1}
    (others / "evaluation.json").write_text(json.dumps(numbers), encoding="utf-8")
    (others / "answers.jsonl").write_text(json.dumps({"id": "a", "right": True}) + "\n", encoding="utf-8")

    def read(*_: object, **__: object) -> None:
        raise AssertionError("the weights were read")

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", read)


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ([*_EVALUATE, "short"], "tokens and one to write, but short reads at most 8"),
        ([*_EVALUATE, "channels"], "use prompt format 'chat', in which the model reasons in its answer"),
        ([*_EVALUATE, "channels", "--prompt-format", "think"], "use prompt format 'chat'"),
        ([*_EVALUATE, "plain", "--prompt-format", "chat"], "the tokenizer has no chat template"),
        ([*_EVALUATE, "plain", *TAGS], "the tokenizer has no chat template"),
        ([*_EVALUATE, "tiny", "--prompt-format", "plain", *TAGS], "think_tags belong to prompt format 'think'"),
        ([*_EVALUATE, "plain", "--before", "b"], "b holds no finished evaluation"),
        ([*_EVALUATE, "plain", "--before", "others"], "others is on other questions (4 are on one side only)"),
        ([*_SAMPLE, "short", "--skip-bad"], "there is no question to ask: question"),
        ([*_SAMPLE, "plain", "--temperature", "0"], "at temperature 0 all 10 responses are one and the same"),
        ([*_SAMPLE, "plain", "--n", "2", "--per-round", "3"], "per_round=3 is not allowed"),
        ([*_SAMPLE, "channels"], "use prompt format 'chat'"),
        ([*_TRAIN, "short"], "all 3 chains have more than 8 tokens"),
        ([*_TRAIN, "plain", "--prompt-format", "chat"], "the tokenizer has no chat template"),
        ([*_TRAIN, "plain", "--validation", "0.001"], "of 3 chains none is held out"),
        ([*_TRAIN, "plain", *TAGS], "the tokenizer has no chat template"),
    ],
    ids=lambda value: " ".join(value[3:]) if isinstance(value, list) else "",
)
def test_a_mistake_is_said_before_the_weights_are_read(
    tokimp: Run, unread: None, command: list[str], named: str
) -> None:
    """Each mistake is one line, and no weights are read for it."""
    done = tokimp(*command)
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert named in done.err


def test_thinking_tags_reach_what_is_written_and_trained_on(tokimp: Run, chains_file: Path) -> None:
    """Tags given on the command line are part of the run: other tags, or none, are another one."""
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: "
    random_model("llama", max_position_embeddings=512).save_pretrained("chatty")
    tokenizer.save_pretrained("chatty")
    command = [*_EVALUATE, "chatty", "--max-new-tokens", "2"]
    done = tokimp(*command, *TAGS)
    assert done.status == 0, done.err
    recorded = json.loads(Path("e/run.json").read_text(encoding="utf-8"))["run"]
    assert (recorded["prompt_format"], recorded["think_tags"]) == ("think", ["<why>\n", "\n</why>\n"])
    assert tokimp(*command, *TAGS).status == 0
    refused = tokimp(*command)
    assert refused.status == 1
    assert "think_tags" in refused.err
