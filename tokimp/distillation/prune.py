r"""Shorten chains to several keep ratios, from one ranking, and measure what re-tokenising their text does.

This is how the text is rebuilt from the tokens that are kept. A character of the reasoning stays if every token that
covers it stays (`tokimp.results.views.pruned_text`). Nothing is put between the characters that stay: spaces go with
the tokens they belong to, and " 3" and "+" that were apart may come to stand side by side. A student reads the text in
its own tokens, and its tokenizer may join what was two tokens. `retokenization` measures how often that happens in the
pruner's tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from tokimp.chains.span_encoder import SpanEncoder
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.registry import load_estimator, parse_specification
from tokimp.errors import ChainError
from tokimp.results.selection import estimator_label
from tokimp.results.ties import tie
from tokimp.results.views import kept_positions, pruned_text
from tokimp.storage.atomic import write_records


@dataclass(frozen=True, slots=True)
class Retokenization:
    """How much changes when the text of kept tokens is tokenised anew by the same tokenizer.

    Attributes
    ----------
    chains
        Share of chains in which any id differs.
    tokens
        Share of kept tokens that are not found again, in order, in the new ids (by `difflib.SequenceMatcher`).
    length
        Number of new tokens divided by that of kept ones, all chains together.
    """

    chains: float
    tokens: float
    length: float


@dataclass(frozen=True, slots=True)
class Pruning:
    """The numbers of the chains at one keep ratio.

    Attributes
    ----------
    estimator, keep_ratio
        The label of the estimator whose ranks decided, and the share of units that was to stay.
    chains
        Number of chains written.
    kept_share
        Share of a chain's reasoning tokens (the pruner's) that stay, mean over chains; ``int`` cuts it below the ratio.
    kept_tokens
        Reasoning tokens (the pruner's) that stay, mean over chains.
    unit
        What was deleted as a whole: ``token``, ``word`` or ``sentence``.
    kept_units
        Share of a chain's units that stay, mean over chains; the same as `kept_share` if units are tokens.
    left_out
        The reasons why chains were left out: nothing of their reasoning would stay.
    retokenization
        What tokenising anew changes; ``None`` if no tokenizer was given.
    """

    estimator: str
    keep_ratio: float
    chains: int
    kept_share: float
    kept_tokens: float
    unit: str
    kept_units: float
    left_out: list[str]
    retokenization: Retokenization | None

    def described(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return asdict(self)


def ready_estimator(specification: str, keep_ratios: Sequence[float], *, searches: bool = True) -> ImportanceEstimator:
    """Load an estimator, and set its parameter ``keep_ratio``, if it has one that is not set, to the lowest ratio.

    An estimator that searches for one ratio only if it is set, as LLMLingua-2 does, gets it only if there is a single
    ratio. Otherwise it ranks all units.

    Parameters
    ----------
    specification
        The estimator, as on the command line.
    keep_ratios
        The ratios that will be cut from its ranking.
    searches
        Whether a single ratio may be searched for. In a plan it may not: another ratio may be added later, and all
        should come from one procedure.
    """
    estimator = load_estimator(specification)
    typed = parse_specification(specification)[1]
    parameters = estimator.parameters()
    may_search = searches and len(keep_ratios) == 1
    stops = "keep_ratio" in parameters and (parameters["keep_ratio"] is not None or may_search)
    if stops and "keep_ratio" not in typed:
        separator = "," if typed else ":"
        estimator = load_estimator(f"{specification}{separator}keep_ratio={min(keep_ratios)}")
    return estimator


def pruned_records(
    result: xr.DataTree, estimator: str, keep_ratio: float, *, tie_threshold: float = 0.0
) -> Iterator[tuple[dict[str, Any], float]]:
    """Yield each chain of a result with its reasoning shortened by the ranks of one estimator.

    Parameters
    ----------
    result
        A result of `tokimp.compare`.
    estimator
        The label or name of the estimator whose ranks decide; the records hold the label.
    keep_ratio
        Share of the units to keep; ``int(units * keep_ratio)`` stay. Ties of rank go from left to right.
    tie_threshold
        Units that matter less than this, in the unit of the importances (nats for methods that delete), tie, and go in
        random order (`tokimp.results.ties.tie`). 0 leaves ranks as they are.

    Yields
    ------
    record : dict
        What `tokimp.load_chains` reads, and beside it what was kept: ``kept_positions`` (of the reasoning tokens),
        ``kept_token_ids``, ``full_length``, ``full_reasoning``, ``estimator``, ``keep_ratio`` and ``unit``.
    kept_units : float
        Share of the chain's units that stay.
    """
    label = estimator_label(result, estimator)
    result = tie(result, tie_threshold, [label])
    dataset = result.to_dataset()
    for index, chain_id in enumerate(str(value) for value in dataset["chain_id"].values):
        own = dataset["chain_index"].values == index
        token_ids, units = dataset["token_id"].values[own], dataset["unit"].values[own]
        kept = kept_positions(result, chain_id, label, keep_ratio)
        texts = {name: str(dataset[name].values[index]) for name in ("question", "reasoning", "answer", "gold")}
        optional = {
            name: text
            for name in ("system", "wrong_answer")
            if name in dataset and (text := str(dataset[name].values[index]))
        }
        record = {
            "id": chain_id,
            "question": texts["question"],
            "reasoning": pruned_text(result, chain_id, label, keep_ratio),
            "answer": texts["answer"],
            **({"gold": texts["gold"]} if texts["gold"] else {}),
            **optional,
            "estimator": label,
            "keep_ratio": keep_ratio,
            "unit": str(result.attrs["unit"]),
            "kept_positions": [int(position) for position in kept],
            "kept_token_ids": [int(token_ids[position]) for position in kept],
            "full_length": len(token_ids),
            "full_reasoning": texts["reasoning"],
        }
        yield record, len(np.unique(units[kept])) / len(np.unique(units))


def write_pruned(
    result: xr.DataTree,
    estimator: str,
    keep_ratio: float,
    path: Path,
    *,
    tokenizer: Any = None,
    skip_empty: bool = False,
    tie_threshold: float = 0.0,
) -> Pruning:
    """Write the chains of a result at one keep ratio as JSONL, and return their numbers.

    Parameters
    ----------
    result, estimator, keep_ratio
        As for `pruned_records`.
    path
        The file; it appears only once it is whole.
    tokenizer
        The pruner's, to measure what tokenising anew does.
    tie_threshold
        As for `pruned_records`.
    skip_empty
        Leave out chains of whose reasoning nothing would stay, and list them, instead of raising.

    Raises
    ------
    ChainError
        If nothing would stay of a chain and `skip_empty` is false, or if nothing would stay of any chain.
    """
    records, left_out, unit_shares = [], [], []
    for record, unit_share in pruned_records(result, estimator, keep_ratio, tie_threshold=tie_threshold):
        if record["reasoning"].strip():
            records.append(record)
            unit_shares.append(unit_share)
            continue
        reason = f"chain {record['id']!r}: nothing is left of its reasoning at keep ratio {keep_ratio}"
        if not skip_empty:
            raise ChainError(f"{reason}; keep more, or leave it out (--skip-bad)")
        left_out.append(reason)
    if not records:
        raise ChainError(f"nothing is left of any chain's reasoning at keep ratio {keep_ratio}; keep more")
    write_records(path, records)
    kept = [len(record["kept_token_ids"]) for record in records]
    shares = [count / record["full_length"] for count, record in zip(kept, records, strict=True)]
    return Pruning(
        estimator=records[0]["estimator"],
        keep_ratio=keep_ratio,
        chains=len(records),
        kept_share=float(np.mean(shares)),
        kept_tokens=float(np.mean(kept)),
        unit=str(result.attrs["unit"]),
        kept_units=float(np.mean(unit_shares)),
        left_out=left_out,
        retokenization=None if tokenizer is None else retokenization(records, tokenizer),
    )


def retokenization(records: Sequence[dict[str, Any]], tokenizer: Any) -> Retokenization:
    """Measure how often the texts of pruned records, tokenised anew, give other ids than those that were kept.

    Raises
    ------
    TokenizationError
        If the tokenizer is not a fast one, or cannot encode a text.
    """
    encoder = SpanEncoder.of(tokenizer)
    changed, lost, kept_tokens, new_tokens = 0, 0, 0, 0
    for record in records:
        kept = record["kept_token_ids"]
        new = list(encoder.encode_with_offsets(record["reasoning"], where=f"chain {record['id']!r}")[0])
        kept_tokens += len(kept)
        new_tokens += len(new)
        if new != kept:
            changed += 1
            blocks = SequenceMatcher(None, kept, new, autojunk=False).get_matching_blocks()
            lost += len(kept) - sum(block.size for block in blocks)
    return Retokenization(changed / len(records), lost / kept_tokens, new_tokens / kept_tokens)
