"""A student of a few thousand parameters, and chains for it."""

from __future__ import annotations

from pathlib import Path

from tokimp.chain import Chain
from tokimp.testing.random_models import byte_tokenizer, random_model

CHAINS = [
    Chain(f"c{a}{b}", f"{a}+{b}?", f"{a} and {b} is {a + b}", f"= {a + b}", gold=str(a + b))
    for a in range(1, 5)
    for b in range(1, 4)
]


def save_student(folder: Path, *, seed: int = 0, architecture: str = "llama") -> Path:
    """Write a small random student to a folder, and return the folder."""
    model = random_model(architecture, seed=seed, initializer_range=0.05)
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder
