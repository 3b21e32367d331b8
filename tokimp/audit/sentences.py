"""What may be concluded of an estimator, in sentences, each with the number behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tokimp.report.number_texts import few_chains

ALL_WEIGHTS = "weights: all"
OTHER_ANSWER = "other answer"
_CONTROLS = {"above_position": "position", "above_uniform": "random orders"}
_MOVES = 0.5
"""A rank correlation below which a changed condition counts as having moved the ranking a lot."""

Sentence = dict[str, str]


def sentences_of(entry: Mapping[str, Any], confidence: float) -> list[Sentence]:
    """Return the sentences about one estimator of a card.

    Parameters
    ----------
    entry
        What the card says of the estimator, p-values adjusted.
    confidence
        An adjusted p-value below 1 - confidence counts as told from chance.

    Returns
    -------
    list of dict
        ``about`` names the part of the audit, ``verdict`` is a short form, ``text`` the sentence.
    """
    written = [
        *(_against(entry["faithfulness"], name, control, 1 - confidence) for name, control in _CONTROLS.items()),
        _weights(entry),
        _other_answer(entry),
        _stability(entry),
        _planted(entry),
        _cost(entry),
    ]
    return [sentence for sentence in written if sentence is not None]


def _against(scores: Sequence[Mapping[str, Any]], name: str, control: str, level: float) -> Sentence | None:
    """Return how the estimator compares with a control, over all scores of faithfulness."""
    known = [score for score in scores if score.get(name, {}).get("mean") is not None]
    if not known:
        return None
    if all(_never_differs(score[name]) for score in known):
        text = f"Is exactly as good as {control} on all {len(known)} scores, on every chain."
        return {"about": "faithfulness", "verdict": f"the same as {control}", "text": text}
    sides: dict[str, list[str]] = {"better": [], "worse": [], "open": []}
    for score in known:
        difference = score[name]
        p = difference.get("p_adjusted")
        side = "open" if p is None or p >= level else "better" if difference["mean"] > 0 else "worse"
        sides[side].append(f"{score['score']}: {_signed(difference)}")
    parts = []
    for side, verb in (("better", "Beats"), ("worse", "Is worse than"), ("open", "Is not told from")):
        if sides[side]:
            parts.append(f"{verb} {control} on {len(sides[side])} of {len(known)} scores ({'; '.join(sides[side])}).")
    verdict = (
        f"beats {control}"
        if len(sides["better"]) == len(known)
        else f"worse than {control}"
        if len(sides["worse"]) == len(known)
        else f"not told from {control}"
        if len(sides["open"]) == len(known)
        else f"mixed against {control}"
    )
    return {"about": "faithfulness", "verdict": verdict, "text": " ".join(parts)}


def _never_differs(difference: Mapping[str, Any]) -> bool:
    """Return whether a difference is 0 on every chain: of enough chains, only one without spread has no p-value."""
    is_tested = difference.get("p_adjusted") is not None
    return difference["mean"] == 0 and not is_tested and not few_chains(difference["chains"])


def _weights(entry: Mapping[str, Any]) -> Sentence | None:
    """Return whether the ranking survives when all weights are random."""
    found = _condition(entry, "sanity", lambda name: name.startswith(ALL_WEIGHTS))
    return None if found is None else _ignored(found, "weights", "all weights are random", "the weights")


def _other_answer(entry: Mapping[str, Any]) -> Sentence | None:
    """Return whether the ranking survives when the chain ends in another chain's answer."""
    found = _condition(entry, "sanity", lambda name: name == OTHER_ANSWER)
    return None if found is None else _ignored(found, "answer", "the answer is another chain's", "the answer")


def _ignored(found: Mapping[str, Any], about: str, when: str, what: str) -> Sentence | None:
    if found["compared"] and found["unchanged"] == found["compared"]:
        text = f"Is blind to {what}: when {when}, it ranks the units of all {found['compared']} chains as before."
        return {"about": about, "verdict": f"blind to {what}", "text": text}
    if found["spearman"]["mean"] is None:
        return None
    numbers = f"rank correlation {_interval(found['spearman'])}; beyond position {_interval(found['beyond'])}"
    if found["spearman"]["mean"] >= _MOVES:
        return {"about": about, "verdict": f"hardly reads {what}", "text": f"Keeps its ranking when {when}: {numbers}."}
    return {"about": about, "verdict": f"reads {what}", "text": f"Ranks otherwise when {when}: {numbers}."}


def _stability(entry: Mapping[str, Any]) -> Sentence | None:
    """Return under which harmless change the ranking changes most."""
    known = [found for found in entry.get("stability", ()) if found["spearman"]["mean"] is not None]
    if not known:
        return None
    worst = min(known, key=lambda found: found["spearman"]["mean"])
    numbers = "; ".join(f"{found['condition']} {_interval(found['spearman'])}" for found in known)
    if worst["spearman"]["mean"] >= 0.95:
        return {"about": "stability", "verdict": "stable", "text": f"Is stable: rank correlation {numbers}."}
    verdict = "unstable" if worst["spearman"]["mean"] < _MOVES else "moves"
    text = f"Changes most under {worst['condition']!r}: rank correlation {numbers}."
    return {"about": "stability", "verdict": f"{verdict}: {worst['condition']}", "text": text}


def _planted(entry: Mapping[str, Any]) -> Sentence | None:
    """Return which kinds of planted text the estimator ranks below the rest, by sentence."""
    kinds = [kind for kind in entry.get("planted", ()) if kind["auroc_sentence"]["mean"] is not None]
    if not kinds:
        return None
    told = [kind for kind in kinds if (kind["auroc_sentence"]["low"] or 0) > 0.5]
    numbers = "; ".join(f"{kind['kind'].replace('_', ' ')} {_interval(kind['auroc_sentence'])}" for kind in kinds)
    names = ", ".join(kind["kind"].replace("_", " ") for kind in told) or "no kind"
    few = "; too few chains for some intervals" if any(kind["auroc_sentence"]["low"] is None for kind in kinds) else ""
    text = f"Tells {names} of planted text from the rest (AUROC by sentence: {numbers}; chance 0.50{few})."
    return {"about": "planted", "verdict": f"finds {len(told)} of {len(kinds)} kinds", "text": text}


def _cost(entry: Mapping[str, Any]) -> Sentence | None:
    cost = entry.get("cost")
    if not cost:
        return None
    calls = "" if cost["calls"] is None else f" in {cost['calls']:,} calls"
    memory = "" if cost["memory"] is None else f", {cost['memory'] / 2**20:,.0f} MiB beyond the model"
    text = (
        f"Passes {cost['positions']:,} positions{calls} for a chain of {cost['tokens']} tokens, in "
        f"{cost['seconds']:.3g} s{memory}."
    )
    return {"about": "cost", "verdict": f"{cost['positions']:,} positions", "text": text}


def _condition(entry: Mapping[str, Any], part: str, wanted: Any) -> dict[str, Any] | None:
    """Return the last condition of a part whose name is wanted, with the correlation beyond position as ``beyond``."""
    found = [condition for condition in entry.get(part, ()) if wanted(condition["condition"])]
    return {**found[-1], "beyond": found[-1]["spearman_beyond_position"]} if found else None


def _signed(numbers: Mapping[str, Any]) -> str:
    return f"{numbers['mean']:+.2f}{_ends(numbers)}"


def _interval(numbers: Mapping[str, Any]) -> str:
    return "undefined" if numbers["mean"] is None else f"{numbers['mean']:.2f}{_ends(numbers)}"


def _ends(numbers: Mapping[str, Any]) -> str:
    return "" if numbers["low"] is None else f" [{numbers['low']:.2f}, {numbers['high']:.2f}]"
