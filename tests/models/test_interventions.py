"""A model that somebody has changed: every number goes through the change, and the fingerprint tells of it."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tokimp.contracts.objective import Joint
from tokimp.contracts.unit_deletions import score_unit_deletions
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.loading import load_scorer
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain, reference_deletion, reference_logprobs

CHAIN = random_chain(5, 8, 2)
NUMBERS: dict[str, Callable[[CausalLMScorer], Any]] = {
    "logprobs": lambda scorer: scorer.logprobs([CHAIN])[0].answer,
    "deletions": lambda scorer: scorer.score_deletions(CHAIN, range(8), [[2]], Joint()).objective,
    "logprobs of deletions": lambda scorer: scorer.deletion_logprobs(CHAIN, range(8), [[2]], until=6)[0, 3:7],
    "attention": lambda scorer: scorer.attention(CHAIN)[2, 0, 10, :4],
    "gradients": lambda scorer: scorer.embedding_gradients(CHAIN, Joint())[1],
    "value": lambda scorer: scorer.objective_value(CHAIN, Joint()),
    "knockouts": lambda scorer: scorer.score_knockouts(CHAIN, [[2]], Joint()),
    "generation": lambda scorer: [
        ord(letter) for letter in scorer.generate([CHAIN.prompt_ids], max_new_tokens=8)[0][0]
    ],
}


@cache
def scorer(backend: str, packed: bool = True) -> CausalLMScorer:
    """Return a scorer that each test leaves unchanged."""
    loaded = load_scorer(random_model("llama"), backend, device="cpu", tokenizer=byte_tokenizer(), packed=packed)
    assert isinstance(loaded, CausalLMScorer)
    return loaded


def first(model: Any, name: str) -> torch.nn.Linear:
    """Return the first linear layer with a name, wherever a backend has put it."""
    return next(m for path, m in model.named_modules() if name in path and isinstance(m, torch.nn.Linear))


@contextmanager
def hook(subject: CausalLMScorer) -> Iterator[None]:
    """Set a hook of torch on a module within the model."""
    with first(subject.model, "down_proj").register_forward_hook(lambda module, arguments, output: output * 0):
        yield


@contextmanager
def own_weight(subject: CausalLMScorer) -> Iterator[None]:
    """Put another weight in the place of a module's own."""
    module = first(subject.model, "down_proj")
    old = module.weight
    module.weight = torch.nn.Parameter(old * 0, requires_grad=False)
    yield
    module.weight = old


@contextmanager
def own_forward(subject: CausalLMScorer) -> Iterator[None]:
    """Put another function in the place of a module's forward pass."""
    module: Any = first(subject.model, "down_proj")  # mypy forbids the assignment to a method
    old = vars(module).get("forward")
    module.forward = lambda values: torch.zeros(*values.shape[:-1], 32)
    yield
    if old is None:
        del module.forward
    else:
        module.forward = old


@contextmanager
def wrapper(subject: CausalLMScorer) -> Iterator[None]:
    """Use what the backend's own library offers: a hook point, or an edit."""
    wrapped = subject.wrapper
    if subject.backend == "transformer_lens":
        wrapped.add_hook("blocks.0.mlp.hook_out", lambda values, hook: values * 0)
        yield
        wrapped.reset_hooks()
    else:
        with wrapped.edit(inplace=True):
            wrapped.model.layers[0].mlp.output[:] = 0
        yield
        wrapped.clear_edits()


CHANGES = {"hook": hook, "weight": own_weight, "forward": own_forward, "wrapper": wrapper}


@cache
def changed_model() -> Any:
    """Return the model as all of `CHANGES` leave it, made anew with plain transformers."""
    model = random_model("llama")
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight.zero_()
    return model


@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
@pytest.mark.parametrize("change", CHANGES)
def test_every_number_goes_through_a_change(backend: str, change: str) -> None:
    """Each number is another one, right for the changed model, and the old one when the change is undone."""
    subject = scorer(backend)
    before = {name: number(subject) for name, number in NUMBERS.items()}
    digest = subject.fingerprint()
    with CHANGES[change](subject):
        changed = {name: number(subject) for name, number in NUMBERS.items()}
        assert subject.fingerprint() != digest
        wanted = reference_logprobs(changed_model(), CHAIN.prompt_ids, CHAIN.reasoning_ids + CHAIN.answer_ids)
        np.testing.assert_allclose(changed["logprobs"], wanted[8:], atol=1e-4)
        whole = reference_deletion(changed_model(), CHAIN, range(8), (2,), CHAIN.answer_ids)
        np.testing.assert_allclose(changed["deletions"], sum(whole), atol=1e-4)
        written = changed_model().generate(torch.tensor([CHAIN.prompt_ids]), max_new_tokens=8, do_sample=False)
        text = subject.tokenizer.decode(written[0, len(CHAIN.prompt_ids) :], skip_special_tokens=True)
        assert changed["generation"] == [ord(letter) for letter in text]
    for name, number in NUMBERS.items():
        assert not np.array_equal(changed[name], before[name]), name
        np.testing.assert_array_equal(number(subject), before[name])
    assert subject.fingerprint() == digest
    assert not subject.decoder.state.changed


@pytest.mark.parametrize("packed", [True, False])
def test_a_pruning_that_is_under_way_forgets_what_the_unchanged_model_read(packed: bool) -> None:
    """A hook that is set between two steps changes the second one wholly: nothing stored is continued."""
    subject = scorer("nnsight", packed)
    score_unit_deletions(subject, CHAIN, range(8), Joint())
    score_unit_deletions(subject, CHAIN, range(1, 8), Joint())
    with hook(subject):
        found = score_unit_deletions(subject, CHAIN, range(2, 8), Joint()).objective
    wanted = [
        sum(reference_deletion(changed_model(), CHAIN, range(2, 8), (unit,), CHAIN.answer_ids)) for unit in range(2, 8)
    ]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def ablate(module: Any, arguments: Any, output: torch.Tensor, *, head: int) -> torch.Tensor:
    """Return an output without eight of its numbers."""
    kept = output.clone()
    kept[..., 8 * head : 8 * head + 8] = 0
    return kept


def test_the_fingerprint_tells_one_change_from_another() -> None:
    """Hooks at one place that differ, by their code or their values, make another model; equal ones do not."""
    subject = scorer("nnsight")
    module = first(subject.model, "v_proj")

    def digest(changing: Any) -> str:
        with module.register_forward_hook(changing):
            return subject.fingerprint()

    def scaled(factor: float) -> Any:
        return lambda module, arguments, output: output * factor

    digests = [
        digest(partial(ablate, head=0)),
        digest(partial(ablate, head=1)),
        digest(scaled(0.0)),
        digest(scaled(2.0)),
    ]
    assert len({*digests, subject.fingerprint()}) == 5
    assert digests == [
        digest(partial(ablate, head=0)),
        digest(partial(ablate, head=1)),
        digest(scaled(0.0)),
        digest(scaled(2.0)),
    ]


def test_the_fingerprint_tells_of_weights_that_were_changed_in_place() -> None:
    """Weights that somebody changes where they lie reach every number, and the fingerprint."""
    subject = scorer("nnsight")
    digest, weight = subject.fingerprint(), first(subject.model, "down_proj").weight
    old = weight.clone()
    weight.data.zero_()
    try:
        assert subject.fingerprint() != digest
        found = subject.score_deletions(CHAIN, range(8), [[2]], Joint()).objective
        wanted = reference_deletion(changed_model(), CHAIN, range(8), (2,), CHAIN.answer_ids)
        np.testing.assert_allclose(found, sum(wanted), atol=1e-4)
    finally:
        weight.data.copy_(old)
    assert subject.fingerprint() == digest


@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
def test_looking_inside_is_no_change(backend: str) -> None:
    """Attention, gradients, knockouts and texts leave no hook behind, so packs are read as before."""
    subject = scorer(backend)
    for number in NUMBERS.values():
        number(subject)
    assert subject.decoder.state.changed_modules() == []
    assert subject.decoder.reads_packs
    with hook(subject):
        assert any("down_proj" in path for path in subject.decoder.state.changed_modules())
        assert not subject.decoder.reads_packs


def test_the_example_tells_importance_before_and_after(capsys: pytest.CaptureFixture[str]) -> None:
    """The example ablates a head and removes a direction; both backends tell the same changes, and leave no trace."""
    runpy.run_path(str(Path(__file__).parents[2] / "examples" / "13_intervention.py"))
    lines = capsys.readouterr().out.splitlines()
    reports = [lines[:4], lines[4:8]]
    for backend, (heading, head, direction, afterwards) in zip(("transformer_lens", "nnsight"), reports, strict=True):
        assert heading.startswith(backend)
        assert afterwards.endswith("the same as before")
        assert "not" not in afterwards
        assert len({line.split()[-1] for line in (heading, head, direction)}) == 3
        assert all("largest change 0.000" not in line for line in (head, direction))
    changes = [[line.rpartition(", fingerprint")[0] for line in report[1:3]] for report in reports]
    assert changes[0] == changes[1]
