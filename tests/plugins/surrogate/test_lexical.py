"""The lexical baseline predicts from ids, and from nothing else."""

from __future__ import annotations

import numpy as np
from tokimp_surrogate.lexical import Words, chain_words, fit_lexical
from tokimp_surrogate.regressors import Training

from tests.plugins.surrogate.small_runs import LOO, SHARES, analysed, chains, compared, correlation
from tests.plugins.surrogate.test_analysis import Blind
from tokimp.chains.arrays import FloatArray
from tokimp.testing.toy_scorer import toy_chain


def test_words_are_those_before_in_and_after_a_unit() -> None:
    """The prompt's last token precedes the first unit, and the answer's first follows the last."""
    chain = toy_chain("ab cd", unit="word")
    words = chain_words(chain)
    ids = chain.reasoning_ids
    assert words.own == tuple(tuple(ids[position] for position in unit) for unit in chain.units)
    assert words.before == (chain.prompt_ids[-1], ids[chain.units[1][0] - 1])
    assert words.after == (ids[chain.units[0][-1] + 1], chain.answer_ids[0])


def drawn(seed: int, n_chains: int = 12) -> tuple[list[Words], Training]:
    """Return units whose target is a sum of what three ids add, and one attention feature that adds to it."""
    rng = np.random.default_rng(seed)
    shares = np.random.default_rng(0).normal(size=(3, 6))
    words, targets, features = [], [], []
    for _ in range(n_chains):
        ids = rng.integers(0, 6, size=(3, 20))
        feature = rng.normal(size=20)
        own = tuple((token,) for token in ids[1].tolist())
        words.append(Words(own, tuple(ids[0].tolist()), tuple(ids[2].tolist())))
        targets.append(shares[0, ids[0]] + shares[1, ids[1]] + shares[2, ids[2]] + feature)
        features.append(feature[:, None].astype(np.float32))
    questions = np.repeat(np.arange(n_chains), 20)
    return words, Training(np.concatenate(features), np.concatenate(targets), questions)


def error(words: list[Words], training: Training, *, with_attention: bool) -> float:
    """Return the mean squared error on other units, as a share of their variance."""
    predict = fit_lexical(words, training, with_attention=with_attention)
    others, held_out = drawn(1)
    together = Words(
        tuple(own for part in others for own in part.own),
        tuple(token for part in others for token in part.before),
        tuple(token for part in others for token in part.after),
    )
    left: FloatArray = predict(together, held_out.features) - held_out.target
    return float(np.square(left).mean() / held_out.target.var())


def test_ids_predict_what_they_decide_and_attention_the_rest() -> None:
    """A target made of three ids and a feature is predicted up to the feature by ids, and whole by both."""
    words, training = drawn(0)
    from_ids, from_both = (error(words, training, with_attention=both) for both in (False, True))
    feature_share = 1 / float(drawn(1)[1].target.var())
    assert abs(from_ids - feature_share) < 0.05
    assert from_both < 0.02


def test_an_id_that_was_never_seen_counts_nothing() -> None:
    """Units of unknown ids are predicted as the intercept has them, all alike."""
    words, training = drawn(0)
    predict = fit_lexical(words, training)
    unknown = predict(Words(((99,), (98,)), (97, 96), (95, 94)), np.zeros((2, 1), dtype=np.float32))
    assert unknown[0] == unknown[1]


def test_the_analysis_says_whether_attention_adds_anything() -> None:
    """Where the importance is that of the letter and attention is even, ids predict it and attention adds nothing."""
    tokenized, scorer = chains(), Blind(SHARES)
    node = analysed(compared(tokenized, scorer, "leave_one_out"), tokenized, scorer, targets=[LOO])
    assert correlation(node, LOO, "lexical") > 0.9
    assert correlation(node, LOO, "both") > 0.9
    assert abs(float(node["attention_adds_mean"].sel(target=LOO))) < 0.05
