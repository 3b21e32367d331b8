"""What a backend can do with a model, found by trying it."""

from __future__ import annotations

import torch

from tokimp.contracts.scorer import Capability
from tokimp.models.activations import gives_activations
from tokimp.models.backend import Backend
from tokimp.models.embeddings import gives_gradients
from tokimp.models.knockout import honours_cuts
from tokimp.models.states import gives_states


def capabilities_of(backend: Backend, ids: torch.Tensor) -> frozenset[Capability]:
    """Return what a backend can do.

    Parameters
    ----------
    backend
        The backend, with its model.
    ids
        What it is tried on, [1, position].
    """
    missing: set[Capability] = set()
    if not backend.attention_layers:
        missing.add(Capability.ATTENTION)
    if not gives_states(backend, ids):
        missing.add(Capability.STATES)
    if not gives_activations(backend, ids):
        missing.add(Capability.ACTIVATIONS)
    if not honours_cuts(backend, ids):
        missing |= {Capability.KNOCKOUT, Capability.KNOCKOUT_LOGPROBS}
    if not gives_gradients(backend, ids):
        missing.add(Capability.GRADIENTS)
    return frozenset(Capability) - missing
