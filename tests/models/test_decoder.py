"""The decoder: ids in, log-probabilities out, in pieces that fit, with every position counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.backend import Backend
from tokimp.models.decoder import Decoder
from tokimp.models.deletion.key_value_pool import new_cache
from tokimp.models.facts import ModelFacts
from tokimp.models.loading import load_model
from tokimp.models.token_logprobs import TokenQueries
from tokimp.testing.random_models import VOCABULARY, byte_tokenizer, random_model
from tokimp.testing.reference import reference_logprobs

IDS = [5, 17, 3, 80, 44, 9, 120, 31]
MAMBA = {"hidden_size": 32, "num_hidden_layers": 2}


class PlainBackend(Backend):
    """The model by itself; remembers the shapes of what went in and came out."""

    def __init__(self, loaded: Any) -> None:
        super().__init__(loaded)
        self.read: list[tuple[int, ...]] = []
        self.logits: list[int] = []

    def forward(self, input_ids: torch.Tensor, **inputs: Any) -> torch.Tensor:
        """Return the model's logits."""
        logits: torch.Tensor = self.model(input_ids, **inputs).logits
        self.read.append(tuple(input_ids.shape))
        self.logits.append(logits.numel())
        return logits

    def forward_embeddings(
        self, input_ids: torch.Tensor, substitute: Callable[[torch.Tensor], torch.Tensor], **inputs: Any
    ) -> torch.Tensor:
        """Return the model's logits for other embeddings."""
        embedded = substitute(self.model.get_input_embeddings()(input_ids))
        logits: torch.Tensor = self.model(inputs_embeds=embedded, **inputs).logits
        return logits


def decoder(architecture: str = "llama", sizes: dict[str, Any] | None = None, **options: Any) -> Decoder:
    """Return a decoder of a small random model."""
    loaded = load_model(random_model(architecture, **(sizes or {})), device="cpu", tokenizer=byte_tokenizer())
    return Decoder(loaded, ModelFacts.read(loaded), PlainBackend(loaded), **options)


def shapes_read(subject: Decoder) -> list[tuple[int, ...]]:
    """Return the shapes of the ids that passed through the model."""
    assert isinstance(subject.backend, PlainBackend)
    return subject.backend.read


def expected(begin: int, tokens: list[int]) -> Any:
    """Return the log-probabilities of tokens after the first `begin` ids, by plain transformers."""
    return reference_logprobs(random_model("llama"), IDS[:begin], tokens)


def test_queries_are_answered_in_their_order() -> None:
    """A token asked for at any row and position gets the log-probability that plain transformers gives it."""
    subject, queries = decoder(), TokenQueries()
    queries.add(1, 6, 31)
    queries.add(0, 2, 99)
    queries.add_run(0, 3, IDS[4:6])
    with torch.no_grad():
        values = subject.query(subject.tensor([IDS, IDS]), queries).numpy()
    wanted = [*expected(7, [31]), *expected(3, [99]), *expected(4, IDS[4:6])]
    np.testing.assert_allclose(values, wanted, atol=1e-4)
    assert values.dtype == np.float32


def test_no_query_reads_nothing() -> None:
    """Where nothing is asked for, the model does not run."""
    subject = decoder()
    assert subject.query(subject.tensor([IDS]), TokenQueries()).shape == (0,)
    assert subject.tokens_forwarded == 0


@pytest.mark.parametrize("positions", [1, 3, 100])
def test_logits_stay_within_their_budget_and_nothing_is_read_twice(positions: int) -> None:
    """Whatever the budget, answers and positions passed are the same, and no tensor of logits is larger than it."""
    subject = decoder(logits_budget=positions * VOCABULARY)
    with torch.no_grad():
        values = subject.predict(subject.tensor([IDS[:-1]]), subject.tensor([IDS[3:]])[..., None], None)
    np.testing.assert_allclose(values[0, :, 0].numpy(), expected(3, IDS[3:]), atol=1e-4)
    assert isinstance(subject.backend, PlainBackend)
    assert max(subject.backend.logits) <= positions * VOCABULARY
    assert sum(length for _, length in subject.backend.read) == subject.tokens_forwarded == len(IDS) - 1
    assert subject.most_scored_positions == positions


def test_a_cache_is_continued_and_extended() -> None:
    """What was read before is not read again, and what is read now is added to it."""
    subject, cache = decoder(), new_cache()
    with torch.no_grad():
        subject.extend(cache, subject.tensor([IDS[:4]]))
        values = subject.predict(subject.tensor([IDS[4:6]]), torch.tensor([[[IDS[5], 200], [IDS[6], 201]]]), cache)
    wanted = [[*expected(5, [IDS[5]]), *expected(5, [200])], [*expected(6, [IDS[6]]), *expected(6, [201])]]
    np.testing.assert_allclose(values[0].numpy(), wanted, atol=1e-4)
    assert shapes_read(subject) == [(1, 4), (1, 2)]
    assert cache.get_seq_length() == 6


def test_work_is_counted_with_what_was_read_before() -> None:
    """Calls, positions, scored positions and pairs of attention are counted, those of a cache included."""
    subject, cache = decoder(), new_cache()
    with torch.no_grad():
        subject.extend(cache, subject.tensor([IDS[:4]]))
        subject.predict(subject.tensor([IDS[4:6]]), subject.tensor([IDS[5:7]])[..., None], cache)
    work = subject.work
    assert (work.calls, work.positions, work.scored, work.pairs) == (2, 6, 3, 10 + 5 + 6)


def test_embeddings_are_differentiable_and_counted() -> None:
    """The gradient of a log-probability reaches the embeddings that were put in."""
    subject, queries, leaves = decoder(), TokenQueries(), []
    queries.add_run(0, 2, IDS[3:5])

    def substitute(embedded: torch.Tensor) -> torch.Tensor:
        leaves.append(embedded.detach().clone().requires_grad_())
        return leaves[0]

    values = subject.predict_embeddings(subject.tensor([IDS[:4]]), substitute, queries)
    np.testing.assert_allclose(values.detach().numpy(), expected(3, IDS[3:5]), atol=1e-4)
    (gradient,) = torch.autograd.grad(values.sum(), leaves)
    assert gradient.abs().sum() > 0
    assert subject.tokens_forwarded == 4


def test_another_way_of_reuse_shares_the_model_and_counts_by_itself() -> None:
    """A decoder that reuses otherwise runs the same backend, begins to count at zero and leaves the first as it is."""
    subject = decoder(cache_memory=1000)
    with torch.no_grad():
        subject.extend(new_cache(), subject.tensor([IDS]))
    other = subject.reusing(reuse_kv=False)
    assert other.backend is subject.backend
    assert (other.reuse_kv, other.cache_memory, other.tokens_forwarded, other.work.calls) == (False, 1000, 0, 0)
    assert (subject.reuse_kv, subject.tokens_forwarded, subject.work.calls) == (True, len(IDS), 1)
    assert subject.reusing(reuse_kv=True, cache_memory=0).cache_memory == 0


def test_a_state_that_cannot_be_cut_back_is_not_shared() -> None:
    """A recurrent model does without sharing, and says so when sharing is asked for."""
    subject = decoder("mamba", MAMBA)
    assert not subject.reuse_kv
    with pytest.raises(UnsupportedError, match="'mamba' keeps a state that cannot be cut back"):
        subject.reusing(reuse_kv=True)
    with pytest.raises(UnsupportedError, match="use reuse_kv=False"):
        decoder("mamba", MAMBA, reuse_kv=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"cache_memory": -1}, "cache_memory is a number of bytes"), ({"batch_positions": 0}, "at least one token")],
)
def test_limits_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    """A limit out of its range is an error that says what it counts."""
    with pytest.raises(ScorerError, match=message):
        decoder(**options)
