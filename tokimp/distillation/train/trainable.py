"""Which students can be trained: those whose weights are not quantised."""

from __future__ import annotations

from tokimp.errors import TrainingError
from tokimp.models.configuration import recorded_quantization

# Transformers unpacks these to plain weights as it loads them, where no kernel for them is: on the CPU, as here.
_UNPACKED = {"gguf", "mxfp4", "fp8"}


def check_trainable(student: str, *, trust_remote_code: bool = False) -> None:
    """Raise `TrainingError` if a student's weights are stored quantised, as far as that shows before they are read.

    Raises
    ------
    ScorerError, UnsupportedError
        As of `tokimp.models.configuration.recorded_context_length`.
    """
    method = recorded_quantization(student, trust_remote_code=trust_remote_code)
    if method and method not in _UNPACKED:
        raise not_trainable(student, method)


def not_trainable(student: str, method: str) -> TrainingError:
    """Return the error about a student that is quantised by a method."""
    return TrainingError(
        f"the student {student!r} is quantised ({method}), and quantised weights cannot take the small steps of an "
        "optimiser; give the checkpoint that it was made from (adapters, and weights in 16 bits, save memory)"
    )
