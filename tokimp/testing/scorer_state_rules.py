"""Rules about the states of layers: they add up, follow one another, and change as their values are changed."""

from __future__ import annotations

import numpy as np
import torch

from tokimp.contracts.layer_states import LayerStates
from tokimp.testing.scorer_subject import Subject

# How far sums of many float32 terms may lie apart, as a share of their size.
_CLOSE = 1e-3


def check_states(subject: Subject) -> None:
    """Check that parts add up, that layers follow one another, and that values can be patched."""
    scorer, layers = subject.scorer, subject.layers
    for chain in subject.chains[:2]:
        seen: list[LayerStates] = []

        def keep(states: LayerStates, seen: list[LayerStates] = seen) -> torch.Tensor:
            seen.append(states)
            _check_layer(subject, states)
            return torch.stack([states.before, states.middle, states.after])

        found = subject.ask_anew(scorer.states, chain, keep, layers=layers)
        shape = (len(seen), 3, len(chain), seen[0].before.shape[-1])
        subject.expect_array(found, shape, np.float32, "shapes of states", f"states of chain {chain.id!r}")
        numbers = [states.layer for states in seen]
        subject.expect(numbers == sorted(set(numbers)), "layers of states", f"they were shown in the order {numbers}")
        for first, (layer, after) in enumerate(zip(numbers[1:], numbers, strict=False)):
            if layer == after + 1:
                message = f"chain {chain.id!r}: what layer {after} puts out and layer {layer} reads"
                _expect_close(subject, found[first + 1, 0], found[first, 2], "layers follow one another", message)
        asked = [numbers[-1], numbers[0], numbers[0]]
        again = subject.ask(scorer.states, chain, lambda states: states.after, layers=asked)
        wanted = found[[len(numbers) - 1, 0, 0], 2]
        _expect_close(subject, again, wanted, "order of layers", f"asked for the states of layers {asked}")


def _check_layer(subject: Subject, states: LayerStates) -> None:
    where = f"layer {states.layer}"
    parts = torch.einsum("hqk,hkd,hdm->qm", states.pattern, states.values, states.output) + states.bias
    message = f"{where}: the sum of its parts, and what attention adds"
    added = states.before + states.scale[:, None] * parts
    _expect_close(subject, added.cpu().numpy(), states.middle.cpu().numpy(), "parts add up", message)
    rows = states.pattern.sum(dim=-1)
    subject.expect(bool((rows <= 1.01).all()), "parts add up", f"{where}: weights of a query add up to more than 1")
    own = states.after_with_values(states.values).cpu().numpy()
    message = f"{where}, given its own values"
    _expect_close(subject, own, states.after.cpu().numpy(), "values are patched", message)
    # Nothing of the last position's value reaches those before it, and much of it reaches itself.
    patched = states.values.clone()
    patched[:, -1] = 0
    several = states.after_with_values(torch.stack([patched, states.values])).cpu().numpy()
    message = f"{where}, with the last position's value set to 0, at the positions before"
    _expect_close(subject, several[0, :-1], own[:-1], "values are patched", message)
    _expect_close(subject, several[1], own, "values are patched", f"{where}, given two versions at once")
    moved = float(np.abs(several[0, -1] - own[-1]).max())
    subject.expect(moved > 0, "values are patched", f"{where}: setting the last position's value to 0 changes nothing")


def _expect_close(subject: Subject, values: np.ndarray, wanted: np.ndarray, rule: str, message: str) -> None:
    """Expect the same numbers, as far as sums of float32 are."""
    apart = float(np.abs(values - wanted).max())
    size = max(1.0, float(np.abs(wanted).max()))
    subject.expect(apart <= max(_CLOSE, subject.tolerance) * size, rule, f"{message}: they lie {apart:g} apart")
