"""What can be known before a model's weights are read: settings, the prompt format, and the questions as prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from tokimp.chains.prompt_format import PromptFormat
from tokimp.chains.think_tags import ThinkTags
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.contracts.task import Question, Task
from tokimp.distillation.ask.ask import Asker
from tokimp.distillation.ask.settings import AskSettings
from tokimp.errors import ScorerError
from tokimp.models.configuration import load_tokenizer, recorded_context_length


@dataclass(frozen=True, slots=True)
class _UnloadedModel:
    """A model of which only the tokenizer and the configuration were read."""

    tokenizer: Any
    model_id: str
    context_length: int | None
    backend: str = "not loaded yet"
    capabilities: frozenset[Capability] = frozenset({Capability.GENERATION})


def check_before_asking(
    task: Task,
    questions: Sequence[Question],
    settings: AskSettings,
    *,
    model: str,
    prompt_format: PromptFormat = "auto",
    think_tags: ThinkTags | None = None,
    skip_bad: bool = False,
    trust_remote_code: bool = False,
) -> None:
    """Raise what asking these questions would raise once the model is loaded, as far as that needs no weights.

    Parameters
    ----------
    task, questions, settings, prompt_format, think_tags
        As of `tokimp.distillation.ask.ask.Asker`.
    model, trust_remote_code
        As of `tokimp.models.writing.load.load_engine`. If its tokenizer or configuration cannot be read, only the
        settings are checked: whoever loads the model says why.
    skip_bad
        Whether questions that cannot be asked will be left out, and so are no error.

    Raises
    ------
    TokimpError
        As of `Asker` and of its `prepare`.
    """
    settings.check()
    try:
        tokenizer = load_tokenizer(model, trust_remote_code=trust_remote_code)
        longest = recorded_context_length(model, trust_remote_code=trust_remote_code)
    except ScorerError:
        return
    # An asker asks a model only for its tokenizer, its name and its longest sequence, until it is to write.
    unloaded = cast("Scorer", _UnloadedModel(tokenizer, model, longest))
    Asker(task, unloaded, settings, prompt_format, think_tags).prepare(questions, [] if skip_bad else None)
