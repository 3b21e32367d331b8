"""Does a scorer keep the contract? One check for every class that subclasses `Scorer`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

import torch

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.contracts.objective import Joint
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.errors import UnsupportedError
from tokimp.testing.scorer_activation_rules import check_activations
from tokimp.testing.scorer_entropy_rules import check_entropies
from tokimp.testing.scorer_inside_rules import check_attention, check_gradients, check_knockouts
from tokimp.testing.scorer_knockout_rules import check_knockout_predictions
from tokimp.testing.scorer_mask_rules import check_masks
from tokimp.testing.scorer_state_rules import check_states
from tokimp.testing.scorer_subject import Subject
from tokimp.testing.scorer_text_rules import check_deletion_logprobs, check_deletions, check_generation, check_logprobs
from tokimp.testing.toy_scorer import CharacterTokenizer, toy_chain

_TEXTS = (("longer", "12 - 5 = 7, so 7."), ("short", "So 7."), ("two tokens", "7."))
_QUESTION, _ANSWER, _WRONG_ANSWER = "12 - 5?", "7", "8"

Rule = Callable[[Subject], None]
_RULES: dict[Capability, Sequence[Rule]] = {
    Capability.LOGPROBS: (check_logprobs, check_masks),
    Capability.ENTROPY: (check_entropies,),
    Capability.DELETIONS: (check_deletions, check_deletion_logprobs),
    Capability.KNOCKOUT: (check_knockouts,),
    Capability.KNOCKOUT_LOGPROBS: (check_knockout_predictions,),
    Capability.ATTENTION: (check_attention,),
    Capability.STATES: (check_states,),
    Capability.ACTIVATIONS: (check_activations,),
    Capability.GRADIENTS: (check_gradients,),
    Capability.GENERATION: (check_generation,),
}


def check_scorer(
    scorer: Scorer,
    chains: Sequence[TokenizedChain] | None = None,
    *,
    layers: Sequence[int] | None = None,
    tolerance: float = 1e-4,
) -> None:
    """Raise `AssertionError` if a scorer breaks the contract of `Scorer`; the message names the rule.

    These rules can be checked without knowing the model:

    - It describes itself, and its fingerprint stays the same.
    - It gives what it claims in `capabilities`, and raises `UnsupportedError` for the rest. Its methods take all
      arguments of the contract's.
    - Log-probabilities have the right shapes and precision, are finite, and are the same in any batch and any order.
    - Entropies are 0 or more, at least the surprisal of the likeliest token, and come with the same log-probabilities.
    - A chain with masked tokens scores what the log-probabilities of the replaced ids make of it, without those of the
      masked tokens.
    - Deletions score what the shortened chains score when they are read from scratch.
    - Knocking out nothing changes nothing, and no knockout what precedes the hidden tokens. After a knockout, the
      answer no longer depends on which token was hidden.
    - Attention weights are distributions over what a token may see. Layers come in the order asked for, and the
      argument ``hidden`` stands where the mask hides a key.
    - States of a layer add up to its residual stream, follow those of the layer before, and change with their values.
    - Activations come alone as they come with gradients; a gradient at the first layer is that at the embeddings.
    - Gradients agree with finite differences, and the objective of the model's own embeddings is that of its
      log-probabilities.
    - Generation is the same for the same seed, and leaves out special tokens.
    - `tokens_forwarded` grows, and chains and other arguments stay as they are.

    Whether the numbers are those of the model is for your own tests to say. All but generation is compared with the
    scorer's log-probabilities, and is left out where it has none.

    Parameters
    ----------
    scorer
        Who is checked. It may count positions and fill caches.
    chains
        At least two chains, tokenised for the scorer, of unequal lengths, with two reasoning tokens or more; the first
        of at least three. A few short ones by default.
    layers
        Layers that have attention, counted from the first. Give them where some layers have none; all by default.
    tolerance
        The largest difference (nats) between numbers that should be equal. The default suits float32.

    Examples
    --------
    >>> from tokimp.testing import AdditiveScorer
    >>> check_scorer(AdditiveScorer({"7": 1.0}))
    """
    subject = Subject(scorer, _chains(scorer) if chains is None else list(chains), layers, tolerance)
    _check_description(subject)
    _check_arguments(subject)
    _check_missing(subject)
    fingerprint = _fingerprint(scorer)
    reads = subject.has(Capability.LOGPROBS)
    first = subject.ask(scorer.logprobs, subject.chains) if reads else []
    for capability, rules in _RULES.items():
        if subject.has(capability) and (reads or capability is Capability.GENERATION):
            for rule in rules:
                rule(subject)
    last = subject.ask(scorer.logprobs, subject.chains) if reads else []
    for before, after in zip(first, last, strict=True):
        message = "log-probabilities, before and after other questions"
        subject.expect_equal(after.reasoning, before.reasoning, "nothing is remembered", message)
        subject.expect_equal(after.answer, before.answer, "nothing is remembered", message)
    subject.expect(_fingerprint(scorer) == fingerprint, "fingerprint", "it changed while the scorer was asked")


def _chains(scorer: Scorer) -> list[TokenizedChain]:
    if isinstance(scorer.tokenizer, CharacterTokenizer):
        # Without a wrong answer: an AdditiveScorer gives one its own constant, whatever the same text is as an answer.
        return [toy_chain(text, question=_QUESTION, answer=_ANSWER, id=name) for name, text in _TEXTS]
    return [
        tokenize_chain(Chain(name, _QUESTION, text, _ANSWER, wrong_answer=_WRONG_ANSWER), scorer.tokenizer, "plain")
        for name, text in _TEXTS
    ]


def _check_description(subject: Subject) -> None:
    scorer, rule = subject.scorer, "description"
    for name in ("backend", "model_id", "device", "dtype"):
        value = getattr(scorer, name, None)
        subject.expect(isinstance(value, str) and value != "", rule, f"{name} must be a text, not {value!r}")
    length = getattr(scorer, "context_length", 0)
    whole = length is None or (type(length) is int and length > 0)
    subject.expect(whole, rule, f"context_length must be a number of tokens or None, not {length!r}")
    claims = scorer.capabilities
    known = isinstance(claims, frozenset) and all(isinstance(each, Capability) for each in claims)
    subject.expect(known, rule, f"capabilities must be a frozenset of members of Capability, not {claims!r}")


def _check_arguments(subject: Subject) -> None:
    """Check that every method takes what the contract's takes: whoever asks may give any of it."""
    for name, asked in inspect.getmembers(Scorer, inspect.isfunction):
        if name.startswith("_"):
            continue
        parameters = list(inspect.signature(asked).parameters.values())[1:]
        by_name = {parameter.name: None for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
        method = inspect.signature(getattr(subject.scorer, name))
        try:
            method.bind(*[None for _ in range(len(parameters) - len(by_name))], **by_name)
        except TypeError as error:
            taken = ", ".join(parameter.name for parameter in parameters)
            message = f"{name}{method} must take {taken}, but: {error}"
            subject.expect(False, "arguments", message)


def _fingerprint(scorer: Scorer) -> str | None:
    try:
        return scorer.fingerprint()
    except UnsupportedError:
        # Allowed: the scorer's runs cannot be continued.
        return None


def _check_missing(subject: Subject) -> None:
    """Check that the methods of a missing capability say that they are missing."""
    scorer, chain, objective = subject.scorer, subject.chains[0], Joint()
    # Not deletion_logprobs and score_masks, which every scorer with log-probabilities has.
    questions: dict[Capability, dict[str, Callable[[], object]]] = {
        Capability.LOGPROBS: {"logprobs": lambda: scorer.logprobs([chain])},
        Capability.ENTROPY: {"entropies": lambda: scorer.entropies([chain])},
        Capability.DELETIONS: {"score_deletions": lambda: scorer.score_deletions(chain, [0, 1], [[0]], objective)},
        Capability.KNOCKOUT: {"score_knockouts": lambda: scorer.score_knockouts(chain, [[0]], objective)},
        Capability.KNOCKOUT_LOGPROBS: {
            "knockout_logprobs": lambda: scorer.knockout_logprobs(chain, [[0]]),
            "knockout_divergences": lambda: scorer.knockout_divergences(chain, [[0]]),
        },
        Capability.ATTENTION: {"attention": lambda: scorer.attention(chain)},
        Capability.STATES: {"states": lambda: scorer.states(chain, lambda states: states.after)},
        Capability.ACTIVATIONS: {
            "activations": lambda: scorer.activations(chain, "residual"),
            "activation_gradients": lambda: scorer.activation_gradients(chain, "residual", objective, torch.mul),
        },
        Capability.GRADIENTS: {
            "embedding_gradients": lambda: scorer.embedding_gradients(chain, objective),
            "objective_value": lambda: scorer.objective_value(chain, objective),
        },
        Capability.GENERATION: {"generate": lambda: scorer.generate([chain.prompt_ids], max_new_tokens=1)},
    }
    for capability, methods in questions.items():
        if subject.has(capability):
            continue
        for name, question in methods.items():
            try:
                question()
            except UnsupportedError:
                continue
            message = f"{name} answers without Capability.{capability.name}; claim it, or raise UnsupportedError"
            subject.expect(False, "capabilities", message)
