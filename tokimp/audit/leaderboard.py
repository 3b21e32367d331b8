"""A leaderboard: audits of many estimators under one stored configuration, one file an estimator, checked by a part."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tokimp.audit.audit import Audit, audit, scores_as_they_are
from tokimp.audit.settings import AuditSettings, LeaderboardSettings
from tokimp.chains.datasets import load_chains
from tokimp.contracts.executor import Executor
from tokimp.contracts.progress import Progress
from tokimp.contracts.registry import load_estimator
from tokimp.contracts.seeded import seeded_generator
from tokimp.errors import TokimpError
from tokimp.results.by_chain import chain_ids
from tokimp.storage.atomic import write_object
from tokimp.storage.json_file import read_object

VERSION = 1
_DIGITS = 9  # of a stored number; more would only be the last bits of one machine


def make_entries(
    settings: LeaderboardSettings,
    folder: Path,
    *,
    executor: str | Executor = "local",
    announce: Callable[[str], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Audit the estimators of a configuration; return one entry for each, by label.

    Parameters
    ----------
    settings
        The configuration.
    folder
        Holds the audits, one folder a unit; the same call goes on after a kill.
    executor, announce, progress
        As of `tokimp.audit.audit.audit`.

    Raises
    ------
    TokimpError
        As of `tokimp.audit.audit.audit`.
    """
    entries: dict[str, dict[str, Any]] = {}
    # The controls are in every audit, but only who is asked for has a row.
    wanted = {load_estimator(estimator).label for estimator in settings.estimators}
    for unit in settings.units:
        say = None if announce is None else _named(announce, unit)
        done = audit(
            settings.estimators,
            settings=replace(settings.audit, unit=unit),
            out=folder_of_audit(folder, unit),
            executor=executor,
            announce=say,
            progress=progress,
        )
        for label, part in _parts(done).items():
            if label not in wanted:
                continue
            entries.setdefault(label, {"version": VERSION, "label": label, "units": {}})["units"][unit] = part
    return entries


def folder_of_audit(folder: Path, unit: str) -> Path:
    """Return the folder of the audit of a unit."""
    return folder / re.sub(r"[^A-Za-z0-9]+", "-", unit)


def entry_path(folder: Path, label: str) -> Path:
    """Return the file of an estimator's entry: its label, without what file systems do not take."""
    return folder / f"{re.sub(r'[^A-Za-z0-9_.=+-]+', '-', label)}.json"


def write_entries(entries: Mapping[str, Mapping[str, Any]], folder: Path) -> list[Path]:
    """Write each entry as a JSON file named after its estimator, and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for label, entry in entries.items():
        paths.append(entry_path(folder, label))
        write_object(paths[-1], entry)
    return paths


def read_entry(path: Path) -> dict[str, Any]:
    """Return an entry.

    Raises
    ------
    TokimpError
        If the file cannot be read, was changed by hand, or is no entry of a leaderboard.
    """
    try:
        entry = read_object(path)
    except (OSError, ValueError) as error:
        raise TokimpError(f"{path} cannot be read: {error}; make it by tokimp leaderboard") from error
    if entry.get("version") != VERSION or not isinstance(entry.get("units"), dict) or "label" not in entry:
        raise TokimpError(f"{path} is no entry of a leaderboard of version {VERSION}; make it by tokimp leaderboard")
    return entry


def read_entries(folder: Path) -> dict[str, dict[str, Any]]:
    """Return all entries of a folder, by label.

    Raises
    ------
    TokimpError
        As of `read_entry`; also if two files hold one estimator.
    """
    entries: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        entry = read_entry(path)
        if entry["label"] in entries:
            raise TokimpError(f"{path}: another file of {folder} holds the estimator {entry['label']!r}; remove one")
        entries[entry["label"]] = entry
    return entries


def check_entry(
    entry: Mapping[str, Any],
    settings: LeaderboardSettings,
    *,
    estimator: str | None = None,
    n_chains: int = 3,
    seed: int = 0,
    tolerance: float = 1e-2,
) -> list[str]:
    """Recompute a part of an entry: every score of some chains, drawn by a seed, with the estimator at hand.

    Parameters
    ----------
    entry
        What somebody sent in.
    settings
        The leaderboard's configuration.
    estimator
        The estimator, if it is not known by the entry's label: ``module:Class``, say.
    n_chains
        How many chains.
    seed
        Draws the chains; whoever made the entry is not to know it.
    tolerance
        By how much a score may differ: absolutely, and relative to its size.

    Returns
    -------
    list of str
        What differs, one line each; empty if all is as the entry says.

    Raises
    ------
    TokimpError
        If the estimator cannot be loaded or run.
    """
    problems = [f"there is no unit {unit!r} in the entry" for unit in settings.units if unit not in entry["units"]]
    named = load_estimator(estimator or str(entry["label"]))
    if named.label != entry["label"]:
        problems.append(f"the estimator is {named.label!r}, and the entry is of {entry['label']!r}")
    for unit, part in entry["units"].items():
        # An entry may be of fewer chains, which its page says; everything else is as the leaderboard has it.
        fewer = {name: part["settings"].get(name) for name in ("limit", "changed_chains")}
        wanted = replace(settings.audit, unit=unit, **fewer)
        if part["settings"] != wanted.described():
            problems.append(f"{unit}: the settings are not those of the leaderboard: {part['settings']}")
            continue
        problems += [f"{unit}: {problem}" for problem in _recomputed(part, wanted, named, n_chains, seed, tolerance)]
    return problems


def _recomputed(  # noqa: PLR0917 - what check_entry was given
    part: Mapping[str, Any], settings: AuditSettings, estimator: Any, n_chains: int, seed: int, tolerance: float
) -> list[str]:
    chains = load_chains(settings.chains, limit=settings.limit)
    stored: Mapping[str, Mapping[str, Any]] = part["by_chain"]
    missing = {chain.id for chain in chains} - {chain_id for values in stored.values() for chain_id in values}
    if missing:
        return [f"{len(missing)} chains of the leaderboard are not in the entry, {min(missing)!r} among them"]
    order = seeded_generator(seed, "", "chains to check").permutation(len(chains))
    drawn = [chains[index] for index in sorted(order[:n_chains])]
    with tempfile.TemporaryDirectory() as folder:
        scores, result = scores_as_they_are([estimator], drawn, settings, Path(folder))
    problems = []
    for score in scores:
        if score.pooled is not None:
            continue
        for index, chain_id in enumerate(chain_ids(result)):
            found = _rounded(score.value[0, index])
            said = stored.get(score.name, {}).get(chain_id)
            same = (
                found is said if found is None or said is None else abs(found - said) <= tolerance * max(1, abs(found))
            )
            if not same:
                problems.append(f"{score.name} of chain {chain_id!r} is {found}, and the entry says {said}")
    problems += [f"the mean of {problem}" for problem in _wrong_means(part, tolerance)]
    return problems


def _wrong_means(part: Mapping[str, Any], tolerance: float) -> list[str]:
    """Return which means of an entry are not those of its own chains."""
    wrong = []
    for score in part["entry"]["faithfulness"]:
        if score["score"] not in part["by_chain"]:
            continue
        values = [value for value in part["by_chain"][score["score"]].values() if value is not None]
        mean = float(np.mean(values)) if values else None
        said = score["value"]["mean"]
        if not _alike(mean, said, tolerance):
            wrong.append(f"{score['score']} over the entry's chains is {mean}, and the entry says {said}")
    return wrong


def _alike(found: float | None, said: float | None, tolerance: float) -> bool:
    if found is None or said is None:
        return found is said
    return abs(found - said) <= tolerance * max(1.0, abs(found))


def _parts(done: Audit) -> dict[str, dict[str, Any]]:
    """Return what an entry holds of one unit, by estimator."""
    card = done.card
    shared = {key: card[key] for key in ("settings", "model", "versions", "chains", "answered", "not_computed")}
    ids = chain_ids(done.result)
    parts = {}
    for row, entry in enumerate(card["estimators"]):
        by_chain = {
            score.name: {chain_id: _rounded(value) for chain_id, value in zip(ids, score.value[row], strict=True)}
            for score in done.scores
            # What is pooled over chains follows from all of them together, so a part of it cannot be computed again.
            if score.pooled is None
        }
        parts[str(entry["label"])] = {**shared, "entry": entry, "by_chain": by_chain}
    return parts


def _rounded(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None


def _named(announce: Callable[[str], None], unit: str) -> Callable[[str], None]:
    return lambda part: announce(f"{unit}: {part}")


def labels_in_order(entries: Mapping[str, Mapping[str, Any]], unit: str) -> Sequence[str]:
    """Return the estimators that have this unit, those first whose advantage over position is largest.

    The advantage is the mean over all scores of faithfulness of the difference from position, each divided by its
    largest size among the entries, so that scores in different units of measure count alike.
    """
    there = {label: entry["units"][unit]["entry"] for label, entry in entries.items() if unit in entry["units"]}
    names = {score["score"] for entry in there.values() for score in entry["faithfulness"]}
    sums = dict.fromkeys(there, 0.0)
    for name in sorted(names):
        means = {
            label: score["above_position"]["mean"]
            for label, entry in there.items()
            for score in entry["faithfulness"]
            if score["score"] == name and score.get("above_position", {}).get("mean") is not None
        }
        largest = max((abs(mean) for mean in means.values()), default=0.0)
        for label, mean in means.items():
            sums[label] += mean / largest if largest else 0.0
    return sorted(sums, key=lambda label: (-sums[label], label))
