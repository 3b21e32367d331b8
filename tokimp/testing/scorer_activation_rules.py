"""Rules about activations at named places, and the objective's gradients with respect to them."""

from __future__ import annotations

from typing import get_args

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Answer
from tokimp.contracts.scorer import Capability
from tokimp.contracts.scorer_inside import Place
from tokimp.testing.scorer_subject import Subject

# How far gradients that should be proportional may point apart, as a share of their length.
_APART = 1e-2


def check_activations(subject: Subject) -> None:
    """Check shapes, layers, that the same activations come with gradients, and what a gradient cannot be."""
    scorer, layers = subject.scorer, subject.layers
    chain = subject.chains[0]
    for place in get_args(Place):
        where = f"{place!r} of chain {chain.id!r}"
        found = subject.ask_anew(scorer.activations, chain, place, layers=layers)
        square = 4 if place == "attention" else 3
        shape = found.shape if getattr(found, "ndim", 0) == square else (-1,) * square
        positions = shape[2:] if place == "attention" else shape[1:2]
        fits = set(positions) == {len(chain)}
        subject.expect(fits, "shapes of activations", f"{where} has the shape {np.shape(found)}")
        subject.expect_array(found, shape, np.float32, "shapes of activations", where)
        if layers is None:
            some = subject.ask(scorer.activations, chain, place, layers=[-1, 0], reduce=lambda layer: layer.amax(dim=0))
            message = f"{where}, the most of layers -1 and 0"
            subject.expect_equal(some, found[[-1, 0]].max(axis=1), "order of layers", message)
        both = subject.ask_anew(
            scorer.activation_gradients, chain, place, Answer(), lambda a, g: torch.stack([a, g]), layers=layers
        )
        shape = (len(found), 2, *found.shape[1:])
        subject.expect_array(both, shape, np.float32, "shapes of activations", f"activations and gradients at {where}")
        message = f"{where}, as they are and with gradients"
        subject.expect_equal(both[:, 0], found, "the same activations", message)
        last = both[:, 1, :, -1] if place == "attention" else both[:, 1, -1]
        subject.expect(not last.any(), "the last position predicts nothing", f"{where}: it has a gradient")
        if place == "residual" and layers is None and subject.has(Capability.GRADIENTS):
            _check_first_layer(subject, chain, both[0, 1])
    if subject.has(Capability.ATTENTION):
        found = subject.ask(scorer.activations, chain, "attention", layers=layers)
        pattern = subject.ask(scorer.attention, chain, layers=layers)
        subject.expect_equal(found, pattern, "attention agrees", f"attention weights of chain {chain.id!r}")


def _check_first_layer(subject: Subject, chain: TokenizedChain, gradient: FloatArray) -> None:
    """Check that the gradient at the first layer is that at the embeddings, but for a number that multiplies these."""
    _, at_embeddings = subject.ask(subject.scorer.embedding_gradients, chain, Answer())
    begin = len(chain.prompt_ids)
    here = gradient[begin : begin + len(at_embeddings)].astype(np.float64)
    there = at_embeddings.astype(np.float64)
    factor = (here * there).sum() / max(float((here * here).sum()), 1e-30)
    apart = float(np.linalg.norm(there - factor * here))
    message = f"chain {chain.id!r}: gradients at the first layer and at the embeddings point apart by {apart:g}"
    size = float(np.linalg.norm(there))
    subject.expect(apart <= _APART * size + subject.tolerance, "gradients agree", message)
