"""Every error that tokimp raises on purpose. Each message says what is wrong, where, and what to do about it."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST_MESSAGE = 4000
_LONG_WORD = re.compile(r"\S{400,}")


class TokimpError(Exception):
    """The base of all errors that a user can do something about.

    A message that would be very long, because an id or a value in it is, is cut in the middle.
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(_shortened(value) if isinstance(value, str) else value for value in arguments))


class TokimpWarning(UserWarning):
    """Something that is allowed, and probably not what was meant."""


class ChainError(TokimpError):
    """A chain, or a record of a file of chains, cannot be used: which (file, line, id), why, and what to change."""


class TokenizationError(TokimpError):
    """The ids of a text would not give the text back, or a prompt format does not fit the tokenizer."""


class ScorerError(TokimpError):
    """A model cannot be loaded, or cannot give a number that it was asked for."""


class ContextLengthError(ChainError, ScorerError):
    """A chain or a prompt is longer than what a model reads: which, how long it is, and what the model takes."""


class UnsupportedError(ScorerError):
    """A scorer or architecture lacks a capability: which one, and what to use instead."""


class ObjectiveError(TokimpError):
    """An objective cannot be computed on a chain."""


class EstimatorError(TokimpError):
    """An estimator's parameters or its result break the contract."""


class AnalysisError(TokimpError):
    """The parameters, the input or the result of an analysis break the contract."""


class CategorizerError(TokimpError):
    """A categorizer cannot label a chain: which chain, why, and what to change."""


class TaskError(TokimpError):
    """A task cannot give questions, or its parameters break the contract."""


class ExecutorError(TokimpError):
    """Work cannot be sent to workers, no worker can be started, or a piece of work was lost with its workers."""


class DistillationError(TokimpError):
    """Sampling, training or evaluating cannot start or continue: what is wrong, and what to change."""


class PluginError(TokimpError):
    """A name is unknown, claimed twice, or its plugin fails to load."""


class SchemaError(TokimpError):
    """A result is not of the format in ``docs/schema.md``."""


class ResumeError(TokimpError):
    """A folder holds another run (other data, another model or other options), or its files are damaged."""


class StorageError(TokimpError):
    """A file cannot be written (a full disk, a folder that may not be written to): which, why, and what to change."""


class TrainingError(TokimpError):
    """A student cannot be trained: which setting, chain or package is at fault, and what to change."""


class PlanError(TokimpError):
    """A plan of a distillation cannot be followed: which key, what is allowed there, and what to change."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return what a message adds to an unknown name: a space and the known name closest to it; empty if none is close.

    >>> did_you_mean("keep_ratio", ["seeds", "keep_ratios"])
    " (did you mean 'keep_ratios'?)"
    """
    close = closest(name, known)
    return "" if close is None else f" (did you mean {close!r}?)"


def closest(name: object, known: Iterable[str]) -> str | None:
    """Return the known name closest to one that is not known; ``None`` if none is close."""
    return next(iter(get_close_matches(str(name), list(known), n=1)), None)


def _shortened(message: str) -> str:
    """Return a message with its long words, and then itself, cut in the middle: both ends say what it is about."""
    message = _LONG_WORD.sub(lambda word: _cut(word[0], 200), message)
    return message if len(message) <= _LONGEST_MESSAGE else _cut(message, _LONGEST_MESSAGE)


def _cut(text: str, length: int) -> str:
    half = length // 2
    return f"{text[:half]}...{text[-half:]}"
