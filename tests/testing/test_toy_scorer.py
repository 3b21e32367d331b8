"""The toy scorer is what its docstring says, by every way of asking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokimp.contracts.objective import Answer, Contrast, Joint, Reasoning
from tokimp.errors import ObjectiveError, PluginError
from tokimp.testing import AdditiveScorer, CharacterTokenizer, toy_chain

SHARES = {"a": 0.5, "b": -0.25, "c": 2.0}
SCORER = AdditiveScorer(SHARES, default=0.25, answer_base=-4.0, reasoning_logprob=-1.5)


@given(st.text())
def test_characters_come_back(text: str) -> None:
    """Decoding what was encoded gives any text back."""
    tokenizer = CharacterTokenizer()
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_toy_chain_has_a_token_a_character() -> None:
    """Spans, offsets and units of a toy chain are those of its characters."""
    chain = toy_chain("So 1.", question="Q?", answer="A", wrong_answer="B", unit="word", id="x")
    assert (chain.prompt_ids, chain.answer_ids, chain.wrong_answer_ids) == ((81, 63), (65,), (66,))
    assert [chain.chain.reasoning[start:end] for start, end in chain.reasoning_offsets] == list("So 1.")
    assert chain.units == ((0, 1), (2, 3, 4))
    assert (chain.id, chain.unit) == ("x", "word")


def test_units_are_the_toolkits() -> None:
    """A unit that the toolkit does not know is refused."""
    with pytest.raises(PluginError, match="syllable"):
        toy_chain("ab", unit="syllable")


def test_log_probabilities_add_up() -> None:
    """The answer's log-probabilities add up to the base and every token's share; tokens not named have the default."""
    (logprobs,) = SCORER.logprobs([toy_chain("abcz", answer="12")])
    assert logprobs.answer.tolist() == [-0.75, -0.75]  # (-4 + 0.5 - 0.25 + 2 + 0.25) / 2
    assert logprobs.reasoning.tolist() == [-1.5] * 4
    assert logprobs.answer.dtype == np.float32


def test_deletions_leave_what_is_not_deleted() -> None:
    """Scores are of what is kept without the candidate; deleting nothing, or all, is allowed."""
    scores = SCORER.score_deletions(toy_chain("abc"), [0, 2], [(), (0,), (0, 2)], Joint())
    assert scores.answer.tolist() == [-1.5, -2.0, -4.0]
    assert scores.reasoning.tolist() == [-3.0, -1.5, 0.0]
    assert scores.objective.tolist() == [-4.5, -3.5, -4.0]
    assert SCORER.deletion_scores(toy_chain("abc"), [0, 2], [(0,)], Answer()).tolist() == [-2.0]
    assert SCORER.deletion_scores(toy_chain("abc"), [0, 2], [], Answer()).shape == (0,)


def test_a_deletion_of_what_is_not_kept_is_refused() -> None:
    """A candidate must be a part of what is kept."""
    with pytest.raises(ValueError, match="no subset"):
        SCORER.score_deletions(toy_chain("abc"), [0, 2], [(1,)], Joint())


@given(st.text("abcz", min_size=1, max_size=8))
def test_every_way_of_asking_agrees(text: str) -> None:
    """The full objective is the same from log-probabilities, from deletions and from embeddings."""
    chain = toy_chain(text, answer="12")
    (logprobs,) = SCORER.logprobs([chain])
    joint = float(logprobs.reasoning.sum() + logprobs.answer.sum())
    assert SCORER.objective_value(chain, Joint()) == pytest.approx(joint, abs=1e-5)
    full = SCORER.deletion_scores(chain, range(len(text)), [()], Joint())
    assert full[0] == pytest.approx(joint, abs=1e-5)
    embeddings, _ = SCORER.embedding_gradients(chain, Joint())
    assert SCORER.objective_value(chain, Joint(), embeddings) == pytest.approx(joint, abs=1e-5)


def test_gradients_are_those_of_a_sum() -> None:
    """The gradient is (1, 0) at every token, wherever it is taken, and 0 for what reads no answer."""
    chain = toy_chain("abc")
    embeddings, gradients = SCORER.embedding_gradients(chain, Joint())
    assert embeddings.tolist() == [[0.5, 1], [-0.25, 1], [2, 1]]
    assert gradients.tolist() == [[1, 0]] * 3
    at, gradients = SCORER.embedding_gradients(chain, Answer(), np.zeros((3, 2), dtype=np.float32))
    assert at.tolist() == [[0, 0]] * 3
    assert gradients.tolist() == [[1, 0]] * 3
    assert SCORER.embedding_gradients(chain, Reasoning())[1].tolist() == [[0, 0]] * 3


def test_attention_is_causal_and_in_proportion() -> None:
    """Each head spreads its weight over the tokens it may see as its scale says; value norms weigh them."""
    chain = toy_chain("ac", question="z")
    attention = SCORER.attention(chain)
    assert attention.shape == (2, 2, 4, 4)
    np.testing.assert_allclose(attention.sum(axis=-1), 1, atol=1e-6)
    assert not attention[..., np.triu_indices(4, 1)[0], np.triu_indices(4, 1)[1]].any()
    np.testing.assert_allclose(attention[0, 0, 2, :3], 1 / 3, atol=1e-6)
    shares = np.exp(2 * np.array([0.25, 0.5, 2.0]))
    np.testing.assert_allclose(attention[1, 0, 2, :3], shares / shares.sum(), atol=1e-6)
    norms = SCORER.attention(chain, weights="value_norm", layers=[1])
    np.testing.assert_allclose(norms[0], attention[1] * [1.25, 1.5, 3.0, 1.25], atol=1e-6)
    np.testing.assert_array_equal(SCORER.attention(chain, reduce=lambda layer: layer[0, -1]), attention[:, 0, -1])


def test_contrast_reads_the_wrong_answer() -> None:
    """A wrong answer's tokens have the log-probability of a reasoning token; a chain without one is refused."""
    chain = toy_chain("a", wrong_answer="xy")
    assert SCORER.objective_value(chain, Contrast()) == -3.5 + 3.0
    with pytest.raises(ObjectiveError, match="wrong answer"):
        SCORER.objective_value(toy_chain("a"), Contrast())


def test_every_pass_is_counted() -> None:
    """`tokens_forwarded` counts each sequence that a model would be given, and only in this scorer."""
    scorer, chain = AdditiveScorer(), toy_chain("abc", question="??", answer="!!!!", wrong_answer="x")
    scorer.logprobs([chain, chain])
    assert scorer.tokens_forwarded == 18
    scorer.score_deletions(chain, [0, 1, 2], [(0,), (0, 1)], Joint())
    assert scorer.tokens_forwarded == 18 + 8 + 7
    scorer.attention(chain)
    scorer.embedding_gradients(chain, Joint())
    scorer.objective_value(chain, Contrast())
    assert scorer.tokens_forwarded == 33 + 9 + 9 + 9 + 6
    assert AdditiveScorer().tokens_forwarded == 0


def test_the_fingerprint_tells_scorers_apart() -> None:
    """Equal parameters have one fingerprint, others another."""
    assert AdditiveScorer(SHARES).fingerprint() == AdditiveScorer(dict(reversed(SHARES.items()))).fingerprint()
    others = [AdditiveScorer(), AdditiveScorer(SHARES), AdditiveScorer(SHARES, default=1.0), SCORER]
    assert len({scorer.fingerprint() for scorer in others}) == 4
