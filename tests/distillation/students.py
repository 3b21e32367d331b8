"""A student of a few thousand parameters, and chains for it."""

from __future__ import annotations

from pathlib import Path

import tokimp as ti
from tokimp.chains.chain import Chain
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


def save_word_student(folder: Path, *, seed: int = 0) -> Path:
    """Write a small random student that reads the embedded model's tokens to a folder, and return the folder."""
    tokenizer = ti.load_scorer("tiny").tokenizer
    special = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": 512, "hidden_size": 16, "num_hidden_layers": 1}
    random_model("llama", seed=seed, initializer_range=0.05, **sizes, **special).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
