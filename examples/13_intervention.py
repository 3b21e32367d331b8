"""Importance under an intervention: before, without one attention head, and without one direction of the stream.

Run ``python examples/13_intervention.py``; it takes a minute. The head is ablated on both backends, each through its
own library's hooks; the direction (what tells a digit from other tokens) is removed by a hook of torch. Every number
goes through what is set, so no estimator knows of it, and the model's fingerprint tells that it was changed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

import tokimp as ti

LAYER, HEAD = 1, 2


@contextmanager
def without_head(scorer: ti.CausalLMScorer) -> Iterator[None]:
    """Leave out what one attention head adds to the stream."""
    size = scorer.model.config.hidden_size // scorer.model.config.num_attention_heads
    own = slice(HEAD * size, (HEAD + 1) * size)
    if scorer.backend == "transformer_lens":

        def ablate(heads: torch.Tensor, hook: Any) -> torch.Tensor:
            changed = heads.clone()
            changed.flatten(2)[..., own] = 0
            return changed

        scorer.wrapper.add_hook(f"blocks.{LAYER}.attn.hook_z", ablate)
        yield
        scorer.wrapper.reset_hooks()
    else:
        with scorer.wrapper.edit(inplace=True):
            scorer.wrapper.model.layers[LAYER].self_attn.o_proj.input[..., own] = 0
        yield
        scorer.wrapper.clear_edits()


@contextmanager
def without_direction(scorer: ti.CausalLMScorer, direction: torch.Tensor) -> Iterator[None]:
    """Remove a direction from what the token embeddings put into the stream."""

    def remove(module: Any, arguments: Any, stream: torch.Tensor) -> torch.Tensor:
        return stream - (stream @ direction)[..., None] * direction

    with scorer.model.get_input_embeddings().register_forward_hook(remove):
        yield


def digit_direction(scorer: ti.CausalLMScorer) -> torch.Tensor:
    """Return the unit vector from the mean embedding of all tokens to that of the digits."""
    embeddings = next(weight for name, weight in scorer.model.named_parameters() if "embed_tokens" in name).detach()
    digits = [index for index in range(len(embeddings)) if scorer.tokenizer.decode([index]).strip().isdigit()]
    direction: torch.Tensor = embeddings[digits].mean(dim=0) - embeddings.mean(dim=0)
    return torch.nn.functional.normalize(direction, dim=0)


def importance(scorer: ti.CausalLMScorer, chain: Any) -> np.ndarray[Any, Any]:
    """Return the importance of each word by leave-one-out, nats."""
    return ti.load_estimator("leave_one_out").estimate(chain, scorer, ti.load_objective("answer")).scores


(text,) = ti.demo_chains(limit=1)
for backend in ("transformer_lens", "nnsight"):
    scorer = ti.load_scorer("tiny", backend=backend)
    if not isinstance(scorer, ti.CausalLMScorer):
        raise SystemExit(f"{backend} has no hooks to set")
    chain = ti.tokenize_chain(text, scorer.tokenizer, unit="word")
    before, digest = importance(scorer, chain), scorer.fingerprint()
    print(f"{backend}: {len(before)} words, fingerprint {digest[:8]}")
    for name, change in (
        (f"head {LAYER}.{HEAD} ablated", without_head(scorer)),
        ("direction removed", without_direction(scorer, digit_direction(scorer))),
    ):
        with change:
            changed, other = importance(scorer, chain), scorer.fingerprint()
        old_ranks, new_ranks = (values.argsort().argsort() for values in (before, changed))
        print(
            f"  {name:<22} largest change {abs(changed - before).max():.3f} nats, "
            f"rank correlation {np.corrcoef(old_ranks, new_ranks)[0, 1]:.2f}, fingerprint {other[:8]}"
        )
    undone = scorer.fingerprint() == digest and np.array_equal(importance(scorer, chain), before)
    print(f"  {'afterwards':<22} {'the same as before' if undone else 'not the same as before'}")
