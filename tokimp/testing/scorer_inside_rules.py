"""Rules about what a scorer shows of a model's inside: attention, what it is without some of it, and gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Answer, Objective
from tokimp.errors import UnsupportedError
from tokimp.testing.scorer_subject import Subject, objectives_for

# Finite differences: the step as a share of the embedding's norm, and how far slope and gradient may lie apart, as a
# share of the steepest slope.
_STEP, _SLOPE_TOLERANCE = 5e-3, 0.05
_VISIBLE_WEIGHT = 1e-3
_SUM_TOLERANCE, _RATIO_TOLERANCE = 1e-2, 1e-2


def check_knockouts(subject: Subject) -> None:
    """Check that nothing hidden is the chain as it is, and that what is hidden no longer matters to the answer."""
    scorer = subject.scorer
    for chain in subject.chains:
        last = len(chain.reasoning_ids) - 1
        hidden, shapes = [(), (0,), (0, last), (last,)], "shapes of knockouts"
        for objective in objectives_for(chain):
            values = subject.ask_anew(scorer.score_knockouts, chain, hidden, objective)
            subject.expect_array(values, (len(hidden),), np.float64, shapes, "the objective after knockouts")
            wanted = objective.evaluate(subject.read(chain, range(last + 1)))[0]
            message = f"chain {chain.id!r}, objective {objective.name!r}, with nothing hidden and as it is"
            subject.expect_equal(values[0], wanted, "knockout of nothing", message)
        together = subject.ask(scorer.score_knockouts, chain, hidden, Answer())
        alone = [subject.ask(scorer.score_knockouts, chain, [positions], Answer())[0] for positions in hidden]
        subject.expect_equal(alone, together, "any batch", f"knockouts of chain {chain.id!r}, alone and in a batch")
        none = subject.ask(scorer.score_knockouts, chain, [], Answer())
        subject.expect_array(none, (0,), np.float64, shapes, "the answer to no knockouts")
        # The last token is left out: the answer's first token is predicted from its own position.
        other = replace(chain, reasoning_ids=(_other_id(chain), *chain.reasoning_ids[1:]))
        answers = [subject.ask(scorer.score_knockouts, version, [(0,)], Answer()) for version in (chain, other)]
        message = f"the answer of chain {chain.id!r} depends on a token that is hidden"
        subject.expect_equal(answers[0], answers[1], "a hidden token does not matter", message)


def _other_id(chain: TokenizedChain) -> int:
    """Return an id of the chain that is not the first reasoning token's."""
    return next(token for token in chain.reasoning_ids[::-1] + chain.prompt_ids if token != chain.reasoning_ids[0])


def check_attention(subject: Subject) -> None:
    """Check shape, rows, layers, the reduction and value-weighted attention."""
    for chain in subject.chains[:2]:
        pattern = subject.ask_anew(subject.scorer.attention, chain, layers=subject.layers)
        _check_pattern(subject, chain, pattern)
        _check_layers(subject, chain, pattern)
        _check_hidden(subject, chain, pattern)
        _check_value_norms(subject, chain, pattern)


def _check_pattern(subject: Subject, chain: TokenizedChain, pattern: FloatArray) -> None:
    length, rule = len(chain), "shape of attention"
    square = getattr(pattern, "ndim", 0) == 4 and pattern.shape[2:] == (length, length)
    subject.expect(square, rule, f"it must be [layer, head, {length}, {length}], not {np.shape(pattern)}")
    subject.expect_array(pattern, pattern.shape, np.float32, rule, "the attention")
    rule = "attention is a distribution"
    future = pattern[..., np.triu(np.ones((length, length), dtype=bool), 1)]
    subject.expect(not future.any(), rule, f"chain {chain.id!r}: a token attends to one that comes after it")
    subject.expect(bool((pattern >= 0).all()), rule, f"chain {chain.id!r}: a weight is below 0")
    sums = pattern.sum(axis=-1)
    wrong = float(np.abs(sums - 1).max())
    subject.expect(wrong <= max(_SUM_TOLERANCE, subject.tolerance), rule, f"a token's weights add up to 1 +- {wrong:g}")


def _check_hidden(subject: Subject, chain: TokenizedChain, pattern: FloatArray) -> None:
    """Check that `hidden` marks the pairs that a layer's mask hides, all of later keys among them, and no others."""
    scorer, rule, where = subject.scorer, "hidden pairs", f"chain {chain.id!r}, hidden=nan"
    marked = subject.ask(scorer.attention, chain, layers=subject.layers, hidden=float("nan"))
    subject.expect(marked.shape == pattern.shape, rule, f"{where}: shapes {marked.shape} and {pattern.shape}")
    pairs = np.isnan(marked)
    later = np.triu(np.ones(pattern.shape[2:], dtype=bool), 1)
    subject.expect(bool(pairs[..., later].all()), rule, f"{where}: a key that comes after its query is not marked")
    subject.expect(not pairs.all(axis=-1).any(), rule, f"{where}: all keys of a query are marked")
    same = bool((pairs == pairs[:, :1]).all())
    subject.expect(same, rule, f"{where}: heads of one layer differ in what is marked, and they share its mask")
    subject.expect_equal(np.where(pairs, 0.0, marked), pattern, rule, f"{where}, with the marked pairs as 0")
    other = subject.ask(scorer.attention, chain, layers=subject.layers, hidden=-1.0)
    subject.expect_equal(other, np.where(pairs, -1.0, pattern), rule, f"chain {chain.id!r}, hidden=-1")
    reduced = subject.ask(
        scorer.attention, chain, layers=subject.layers, hidden=-1.0, reduce=lambda heads: heads.amin(dim=0)
    )
    subject.expect_equal(reduced, other.min(axis=1), rule, f"chain {chain.id!r}, hidden=-1, as reduce gets it")


def _check_layers(subject: Subject, chain: TokenizedChain, pattern: FloatArray) -> None:
    scorer, count = subject.scorer, len(pattern)
    numbers = list(range(count)) if subject.layers is None else list(subject.layers)
    # Not the same from behind, so that a reversed answer shows.
    places = [count - 1, 0, 0]
    asked = [numbers[place] for place in places]
    values = subject.ask(scorer.attention, chain, layers=asked)
    subject.expect_equal(values, pattern[places], "order of layers", f"asked for the layers {asked}")
    if subject.layers is None:
        values = subject.ask(scorer.attention, chain, layers=[-1, -count])
        message = f"asked for the layers -1 and -{count} of {count}"
        subject.expect_equal(values, pattern[[-1, 0]], "negative layers", message)
    shapes: list[tuple[int, ...]] = []

    def reduce(heads: Any) -> Any:
        shapes.append(tuple(heads.shape))
        return heads.amax(dim=0)

    values = subject.ask(scorer.attention, chain, layers=asked[:2], reduce=reduce)
    message = f"reduce must be given each layer's {pattern.shape[1:]}; it was given {shapes}"
    subject.expect(bool(shapes) and set(shapes) == {pattern.shape[1:]}, "reduce", message)
    subject.expect_equal(values, pattern[places[:2]].max(axis=1), "reduce", "the most of all heads")


def _check_value_norms(subject: Subject, chain: TokenizedChain, pattern: FloatArray) -> None:
    """Check that value-weighted attention is the pattern times one number for each head and key."""
    rule = "value norms"
    try:
        weighted = subject.scorer.attention(chain, weights="value_norm", layers=subject.layers)
    except UnsupportedError:
        # Allowed: some models keep no plain values.
        return
    subject.expect_array(weighted, pattern.shape, np.float32, rule, "value-weighted attention")
    subject.expect(bool((weighted >= 0).all()), rule, "a weight is below 0")
    seen = pattern > _VISIBLE_WEIGHT
    norms = np.divide(weighted, pattern, out=np.full_like(pattern, np.nan), where=seen)
    largest = np.where(seen, norms, -np.inf).max(axis=-2)
    smallest = np.where(seen, norms, np.inf).min(axis=-2)
    same = (largest - smallest <= _RATIO_TOLERANCE * largest) | ~seen.any(axis=-2)
    subject.expect(bool(same.all()), rule, "divided by the pattern, a key's number depends on the query")


def check_gradients(subject: Subject) -> None:
    """Check the objective from embeddings, and its gradient against finite differences."""
    for chain in subject.chains[:2]:
        for objective in objectives_for(chain):
            _check_gradient(subject, chain, objective)


def _check_gradient(subject: Subject, chain: TokenizedChain, objective: Objective) -> None:
    scorer, where = subject.scorer, f"chain {chain.id!r}, objective {objective.name!r}"
    embeddings, gradient = subject.ask_anew(scorer.embedding_gradients, chain, objective)
    rule = "shapes of gradients"
    shape = (len(chain.reasoning_ids), embeddings.shape[-1])
    subject.expect_array(embeddings, shape, np.float32, rule, f"embeddings ({where})")
    subject.expect_array(gradient, shape, np.float32, rule, f"gradients ({where})")
    wanted = objective.evaluate(subject.read(chain, range(len(chain.reasoning_ids))))[0]
    values = [subject.ask_anew(scorer.objective_value, chain, objective, given) for given in (None, embeddings)]
    subject.expect_equal(values[0], wanted, "objective value", f"{where}, from embeddings and from log-probabilities")
    subject.expect_equal(values[1], wanted, "embeddings", f"{where}, given the model's own embeddings")
    stand_ins = embeddings * np.float32(1.01)
    given = stand_ins.copy()
    again, _ = subject.ask(scorer.embedding_gradients, chain, objective, given)
    subject.expect_equal(again, stand_ins, "embeddings", f"{where}: the embeddings given and those of the gradient")
    subject.expect(np.array_equal(given, stand_ins), "arguments stay as they are", "embedding_gradients changed some")
    _check_slopes(subject, chain, objective, embeddings, gradient)


def _check_slopes(
    subject: Subject, chain: TokenizedChain, objective: Objective, embeddings: FloatArray, gradient: FloatArray
) -> None:
    """Move one token's embedding at a time, in random directions, and compare the slopes with the gradient's."""
    generator = np.random.default_rng(0)
    slopes, predicted, noise = [], [], 0.0
    for token in sorted({0, len(embeddings) // 2, len(embeddings) - 1}):
        for _ in range(2):
            direction: FloatArray = generator.standard_normal(embeddings.shape[1:])
            direction = direction / np.linalg.norm(direction)
            step = _STEP * max(float(np.linalg.norm(embeddings[token])), _STEP)
            moved = []
            for sign in (1, -1):
                version = embeddings.copy()
                version[token] += (sign * step * direction).astype(version.dtype)
                moved.append(subject.ask(subject.scorer.objective_value, chain, objective, version))
            slopes.append((moved[0] - moved[1]) / (2 * step))
            predicted.append(float(gradient[token] @ direction))
            noise = max(noise, subject.tolerance / (2 * step))
    apart = float(np.abs(np.subtract(slopes, predicted)).max())
    steepest = float(np.abs([slopes, predicted]).max())
    message = f"chain {chain.id!r}, objective {objective.name!r}: slopes {np.round(slopes, 4)}, by the gradient "
    message += str(np.round(predicted, 4))
    subject.expect(apart <= _SLOPE_TOLERANCE * steepest + noise, "finite differences", message)
