"""The check of scorers passes those of tokimp, and names the rule that a wrong one breaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tokimp.contracts.scorer import Capability, Scorer
from tokimp.models.loading import load_scorer
from tokimp.models.writing.transformers_engine import TransformersEngine
from tokimp.testing import AdditiveScorer, check_scorer
from tokimp.testing.random_models import byte_tokenizer, random_model

CONTRIBUTIONS = {"7": 1.0, "1": -0.5, "=": 0.25, " ": 0.125}
HYBRID = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
HYBRID_LAYERS = ["conv", "full_attention", "conv"]


class Good(AdditiveScorer):
    """A scorer without fault that can do everything, for others to break."""

    capabilities = frozenset(Capability)

    def __init__(self) -> None:
        super().__init__(CONTRIBUTIONS)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int = 256,
        n: int = 1,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> list[list[str]]:
        """Write digits that depend on the prompt and, where more than one token can come, on seed and repetition."""
        varies = temperature > 0 and top_p > 0.5
        self.tokens_forwarded += sum(map(len, prompts)) * n
        return [[str((sum(prompt) + (seed + i) * varies) % 97) for i in range(n)] for prompt in prompts]


def wrong(method: str, change: Callable[..., Any]) -> Scorer:
    """Return a scorer like `Good`, but for one method, which is given the right answer and then what it was asked."""
    right = getattr(Good, method)

    def changed(self: Good, *arguments: Any, **options: Any) -> Any:
        return change(right(self, *arguments, **options), *arguments, **options)

    return with_attributes(**{method: changed})


def with_attributes(**attributes: Any) -> Scorer:
    """Return a scorer like `Good`, but for some attributes of its class."""
    scorer: Scorer = type("Wrong", (Good,), attributes)()
    return scorer


@pytest.mark.parametrize("scorer", [AdditiveScorer(), AdditiveScorer(CONTRIBUTIONS, answer_base=-3.0), Good()])
def test_a_scorer_in_closed_form_passes(scorer: Scorer) -> None:
    """Scorers whose numbers are right by construction pass."""
    check_scorer(scorer)


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt_neox", "gemma3_text"])
def test_both_backends_pass(architecture: str, backend: str) -> None:
    """The scorers that come with tokimp keep every rule, on models of several architectures."""
    check_scorer(load_scorer(random_model(architecture), backend, device="cpu", tokenizer=byte_tokenizer()))


def test_a_hybrid_model_passes_with_its_layers_named() -> None:
    """A model with attention in some layers only is checked on those, and lacks knockouts, as it says."""
    model = random_model("lfm2", num_key_value_heads=2, layer_types=HYBRID_LAYERS, **HYBRID)
    scorer = load_scorer(model, "nnsight", device="cpu", tokenizer=byte_tokenizer())
    check_scorer(scorer, layers=[1])
    with pytest.raises(AssertionError, match="breaks the rule 'capabilities': it claims to give attention, but"):
        check_scorer(scorer)


def test_what_only_writes_passes() -> None:
    """A scorer with generation alone is checked on that, and on refusing the rest."""
    check_scorer(TransformersEngine(random_model("llama"), device="cpu", tokenizer=byte_tokenizer()))


def _spans(change: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda spans, chains: [replace(each, answer=change(each.answer)) for each in spans]


def _by_batch(spans: Any, chains: Any) -> Any:
    return [replace(each, answer=each.answer + np.float32(0.1 * len(chains))) for each in spans]


def _entropy(change: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda spans, chains: [replace(each, reasoning=change(each.reasoning)) for each in spans]


def _logprobs_of_entropies(spans: Any, chains: Any) -> Any:
    return [
        replace(each, logprobs=replace(each.logprobs, answer=each.logprobs.answer - np.float32(1))) for each in spans
    ]


def _entropy_by_batch(spans: Any, chains: Any) -> Any:
    first = len(chains[0].reasoning_ids)
    return [replace(each, answer=each.answer + np.float32(first)) for each in spans]


def _first_of_all(spans: Any, chains: Any) -> Any:
    return [replace(each, reasoning_ranks=each.reasoning_ranks + 9) for each in spans]


def _objective(change: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda scores, *asked: replace(scores, objective=change(scores.objective))


def _unless_deleted(scores: Any, chain: Any, kept: Any, candidates: Any, objective: Any) -> Any:
    nothing = np.array([not candidate for candidate in candidates], dtype=bool)
    return replace(scores, objective=scores.objective + nothing)


def _forgets_what_went(scores: Any, chain: Any, kept: Any, candidates: Any, objective: Any) -> Any:
    return replace(scores, reasoning=scores.reasoning - (len(kept) < len(chain.reasoning_ids)))


def _sorted_in_place(scores: Any, chain: Any, kept: Any, candidates: Any, objective: Any) -> Any:
    candidates.reverse()
    return scores


def _zero_where_deleted(values: Any, *asked: Any, **options: Any) -> Any:
    return np.nan_to_num(values)


def _knows_hidden(values: Any, chain: Any, hidden: Any, objective: Any) -> Any:
    first = np.array([0 in positions for positions in hidden], dtype=np.float64)
    return values + first * chain.reasoning_ids[0] / 100


def _from_the_end(values: Any, chain: Any, hidden: Any, **options: Any) -> Any:
    other = values.copy()
    for row, positions in zip(other, hidden, strict=True):
        row[0] += bool(positions)
    return other


def _by_number_of_knockouts(values: Any, chain: Any, hidden: Any, **options: Any) -> Any:
    return values * np.float32(len(hidden) if len(hidden) > 1 else 7)


def _answers_as_they_are(values: Any, chain: Any, hidden: Any, **options: Any) -> Any:
    return np.tile(values[:1], (len(values), 1))


def _reversed_layers(values: Any, chain: Any, *, layers: Any = None, **options: Any) -> Any:
    return values if layers is None else values[::-1]


def _no_negative_layers(values: Any, chain: Any, *, layers: Any = None, **options: Any) -> Any:
    return values[[abs(layer) % len(values) for layer in layers]] if layers and min(layers) < 0 else values


def _unreduced(values: Any, chain: Any, *, reduce: Any = None, **options: Any) -> Any:
    return values if reduce is None else values + 1


def _norms_of_queries(values: Any, chain: Any, *, weights: str = "pattern", **options: Any) -> Any:
    if weights == "pattern":
        return values
    return values * np.arange(1, values.shape[2] + 1, dtype=np.float32)[:, None]


def _anticausal(self: Good, chain: Any) -> torch.Tensor:
    return Good.pattern(self, chain).flip(-1)


def _not_normalised(self: Good, chain: Any) -> torch.Tensor:
    return Good.pattern(self, chain) * 0.5


def _half_a_gradient(values: Any, chain: Any, *asked: Any) -> Any:
    embeddings, gradient = values
    gradient = gradient.copy()
    gradient[len(gradient) // 2 :] = 0
    return embeddings, gradient


def _own_embeddings(values: Any, chain: Any, objective: Any, stand_ins: Any = None) -> Any:
    return values if stand_ins is None else (values[0] / np.float32(1.01), values[1])


def _value_of_stand_ins(value: float, chain: Any, objective: Any, stand_ins: Any = None) -> float:
    return value if stand_ins is None else value + 1


def _scaled_in_place(values: Any, chain: Any, objective: Any, stand_ins: Any = None) -> Any:
    if stand_ins is not None:
        stand_ins *= 2
    return values


def _by_call() -> Callable[..., Any]:
    """Return a change that is another one at each call."""
    calls = iter(range(10**6))
    return lambda texts, *asked, **options: [[f"{text} {next(calls)}" for text in row] for row in texts]


def _only_with_nucleus(top_p: float) -> Callable[..., list[list[str]]]:
    """Return a change of texts where a nucleus of this probability is asked for."""
    return lambda texts, *asked, **options: texts[::-1] if options.get("top_p") == top_p else texts


def _only_sampled(change: Callable[..., Any]) -> Callable[..., Any]:
    return lambda texts, *asked, **options: change(texts) if options.get("temperature") else texts


def _by_place(texts: Any, prompts: Any, **options: Any) -> Any:
    return [[f"{index} {text}" for text in row] for index, row in enumerate(texts)]


def _mutated(spans: Any, chains: Any) -> Any:
    for chain in chains:
        object.__setattr__(chain, "unit", "word")
    return spans


def _special() -> Scorer:
    scorer = wrong("generate", lambda texts, *asked, **options: [[f"{text}</s>" for text in row] for row in texts])
    scorer.tokenizer.all_special_tokens = ["</s>"]
    return scorer


def _forgetful(self: Good, chains: Any) -> Any:
    self.contributions["7"] = self.contributions["7"] + 1e-2
    return Good.logprobs(self, chains)


def _without_hidden(self: Any, chain: Any, *, weights: Any = "pattern", layers: Any = None, reduce: Any = None) -> Any:
    return Good.attention(self, chain, weights=weights, layers=layers, reduce=reduce)


def _ignores_hidden(self: Any, chain: Any, *, hidden: float = 0.0, **options: Any) -> Any:
    return Good.attention(self, chain, **options)


def _hides_too_much(self: Any, chain: Any, *, hidden: float = 0.0, **options: Any) -> Any:
    pattern = Good.attention(self, chain, **options)
    return np.where(pattern < 0.05, hidden, pattern) if hidden else pattern


def _hidden_after_reduce(self: Any, chain: Any, *, hidden: float = 0.0, reduce: Any = None, **options: Any) -> Any:
    return Good.attention(self, chain, hidden=0.0 if reduce else hidden, reduce=reduce, **options)


def _uncounted(self: Good, chains: Any) -> Any:
    counted = self.tokens_forwarded
    spans = Good.logprobs(self, chains)
    self.tokens_forwarded = counted
    return spans


def _drifting() -> Scorer:
    """Return a scorer whose log-probabilities change once it has shown attention."""

    def attention(self: Any, *asked: Any, **options: Any) -> Any:
        self.drift = np.float32(1.0)
        return Good.attention(self, *asked, **options)

    def logprobs(self: Any, chains: Any) -> Any:
        spans = Good.logprobs(self, chains)
        return [replace(each, answer=each.answer + getattr(self, "drift", np.float32(0.0))) for each in spans]

    members: dict[str, Any] = {"attention": attention, "logprobs": logprobs}
    members["capabilities"] = frozenset({Capability.LOGPROBS, Capability.ATTENTION})
    for name in (
        "entropies",
        "knockout_logprobs",
        "knockout_divergences",
        "states",
        "activations",
        "activation_gradients",
        "score_deletions",
        "score_knockouts",
        "embedding_gradients",
        "objective_value",
        "generate",
    ):
        members[name] = getattr(Scorer, name)
    return with_attributes(**members)


def _changing_fingerprint(self: Good) -> str:
    return str(self.tokens_forwarded)


WRONG: list[tuple[str, Scorer]] = [
    (
        "a masked chain is the chain of the replaced ids",
        # What is masked stays in the sum of the reasoning.
        wrong(
            "score_masks",
            lambda scores, chain, masked, *_: replace(scores, reasoning=scores.reasoning[[0] * len(masked)]),
        ),
    ),
    (
        "a masked chain is the chain of the replaced ids",
        wrong("score_masks", lambda scores, *_: replace(scores, objective=scores.objective + 0.5)),
    ),
    ("description", with_attributes(backend="")),
    ("description", with_attributes(context_length=0)),
    ("description", with_attributes(capabilities=frozenset({"logprobs", "telepathy"}))),
    ("fingerprint", with_attributes(fingerprint=_changing_fingerprint)),
    ("capabilities", with_attributes(generate=Scorer.generate)),
    ("capabilities", with_attributes(capabilities=frozenset(Capability) - {Capability.ATTENTION})),
    ("positions are counted", with_attributes(logprobs=_uncounted)),
    ("chains stay as they are", wrong("logprobs", _mutated)),
    ("shapes of log-probabilities", wrong("logprobs", _spans(lambda answer: answer.astype(np.float64)))),
    ("shapes of log-probabilities", wrong("logprobs", _spans(lambda answer: answer[:0]))),
    ("shapes of log-probabilities", wrong("logprobs", _spans(lambda answer: answer * np.float32(np.nan)))),
    ("any batch", wrong("logprobs", _by_batch)),
    ("any batch", with_attributes(logprobs=_forgetful)),
    ("nothing is remembered", _drifting()),
    ("shapes of entropies", wrong("entropies", lambda spans, chains: spans[:1])),
    ("shapes of entropies", wrong("entropies", _entropy(lambda entropy: entropy[:0]))),
    ("one pass", wrong("entropies", _logprobs_of_entropies)),
    ("any batch", wrong("entropies", _entropy_by_batch)),
    ("entropies are 0 or more", wrong("entropies", _entropy(lambda entropy: -1 - entropy))),
    ("entropy and surprisal", wrong("entropies", _entropy(lambda entropy: entropy * 0))),
    ("rank and probability", wrong("entropies", _first_of_all)),
    ("shapes of deletions", wrong("score_deletions", _objective(lambda values: values.astype(np.float32)))),
    ("shapes of deletions", wrong("score_deletions", _objective(lambda values: values[:, None]))),
    ("deletions", wrong("score_deletions", _objective(lambda values: values + 1e-3))),
    ("deletions", wrong("score_deletions", _forgets_what_went)),
    ("deletions", wrong("deletion_scores", lambda values, *asked: values + 1)),
    ("nothing deleted", wrong("score_deletions", _unless_deleted)),
    ("arguments stay as they are", wrong("score_deletions", _sorted_in_place)),
    ("log-probabilities after deletions", wrong("deletion_logprobs", _zero_where_deleted)),
    (
        "log-probabilities after deletions",
        wrong("deletion_logprobs", lambda values, *asked, until=None: values if until is None else values - 1),
    ),
    ("shapes of knockouts", wrong("score_knockouts", lambda values, *asked: values.astype(np.float32))),
    ("knockout of nothing", wrong("score_knockouts", lambda values, *asked: values + 1e-3)),
    ("a hidden token does not matter", wrong("score_knockouts", _knows_hidden)),
    ("shapes of knockouts", wrong("knockout_logprobs", lambda values, *asked, **options: values[:, 1:])),
    ("knockout of nothing", wrong("knockout_logprobs", lambda values, *asked, **options: values + np.float32(0.1))),
    ("knockout of nothing", wrong("knockout_divergences", lambda values, *asked, **options: values + np.float32(0.1))),
    ("divergences are 0 or more", wrong("knockout_divergences", lambda values, *asked, **options: -1 - values)),
    ("no effect on what precedes", wrong("knockout_logprobs", _from_the_end)),
    ("no effect on what precedes", wrong("knockout_divergences", _from_the_end)),
    ("any batch", wrong("knockout_divergences", _by_number_of_knockouts)),
    ("knockouts agree", wrong("knockout_logprobs", _answers_as_they_are)),
    ("shape of attention", wrong("attention", lambda values, *asked, **options: values.mean(axis=1))),
    ("attention is a distribution", with_attributes(pattern=_anticausal)),
    ("attention is a distribution", with_attributes(pattern=_not_normalised)),
    ("order of layers", wrong("attention", _reversed_layers)),
    ("negative layers", wrong("attention", _no_negative_layers)),
    ("reduce", wrong("attention", _unreduced)),
    ("value norms", wrong("attention", _norms_of_queries)),
    ("arguments", with_attributes(attention=_without_hidden)),
    ("hidden pairs", with_attributes(attention=_ignores_hidden)),
    ("hidden pairs", with_attributes(attention=_hides_too_much)),
    ("hidden pairs", with_attributes(attention=_hidden_after_reduce)),
    (
        "shapes of gradients",
        wrong("embedding_gradients", lambda values, *asked: (values[0], values[1].astype(np.float64))),
    ),
    ("finite differences", wrong("embedding_gradients", lambda values, *asked: (values[0], 2 * values[1]))),
    ("finite differences", wrong("embedding_gradients", _half_a_gradient)),
    ("embeddings", wrong("embedding_gradients", _own_embeddings)),
    ("embeddings", wrong("objective_value", _value_of_stand_ins)),
    ("arguments stay as they are", wrong("embedding_gradients", _scaled_in_place)),
    ("objective value", wrong("objective_value", lambda value, *asked: value + 1e-3)),
    ("generation", wrong("generate", lambda texts, *asked, **options: [row[:1] for row in texts])),
    ("generation", wrong("generate", _by_call())),
    ("generation", wrong("generate", _by_place)),
    ("one seed, one text", wrong("generate", _only_sampled(_by_call()))),
    *(("nucleus", wrong("generate", _only_with_nucleus(top_p))) for top_p in (1.0, 1e-6)),
    ("special tokens", _special()),
]


@pytest.mark.parametrize(("rule", "scorer"), WRONG, ids=[f"{rule}-{index}" for index, (rule, _) in enumerate(WRONG)])
def test_a_broken_rule_is_named(rule: str, scorer: Scorer) -> None:
    """A scorer that is right but for one thing is refused, and the message begins with the class and the rule."""
    with pytest.raises(AssertionError, match=f"^Wrong breaks the rule '{rule}': "):
        check_scorer(scorer)


def test_rough_numbers_pass_with_a_wider_tolerance() -> None:
    """The tolerance is the largest difference that passes."""
    rough = [wrong("score_deletions", _objective(lambda values: values + 0.01)) for _ in range(2)]
    check_scorer(rough[0], tolerance=0.02)
    with pytest.raises(AssertionError, match="'deletions'"):
        check_scorer(rough[1], tolerance=0.005)
