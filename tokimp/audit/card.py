"""The report card of an audit: every number of it as JSON, by estimator."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from tokimp.analysis.statistics.multiplicity import holm
from tokimp.audit.scores import Score, finite, mean_of
from tokimp.audit.sentences import sentences_of
from tokimp.report.number_texts import few_chains
from tokimp.results.analysis_nodes import analysis_node

VERSION = 1
PLANTED_LEVELS = ("unit", "sentence")


def make_card(
    result: xr.DataTree,
    scores: Sequence[Score],
    similarities: Mapping[str, xr.Dataset],
    costs: Mapping[str, Any],
    *,
    plausibility: Sequence[Score],
    settings: Mapping[str, Any],
    not_computed: Mapping[str, str],
    confidence: float,
) -> dict[str, Any]:
    """Return the card.

    Parameters
    ----------
    result
        The run as it is, with the analyses that were run on it.
    scores
        What they say of faithfulness.
    similarities
        ``sanity`` and ``stability``, as `tokimp.audit.similarity.similarity` returns them; one may be missing.
    costs
        By estimator, as `tokimp.audit.cost.cost_of` returns it.
    plausibility
        How well estimators agree with the chains' labels, which says nothing of the model; empty without labels.
    settings
        The audit's settings.
    not_computed
        Why a part of the audit is missing, by the part's name.
    confidence
        Confidence of all intervals.
    """
    labels = [str(label) for label in result["estimator"].to_numpy()]
    described = json.loads(result.attrs["estimator_parameters"])
    failed = result["status"].to_numpy() if "status" in result else np.full((len(labels), 1), "")
    rows = []
    for row, label in enumerate(labels):
        entry: dict[str, Any] = {
            "label": label,
            **{key: described[label].get(key) for key in ("name", "distribution", "parameters")},
            "chains_failed": int((failed[row] != "").sum()),
            "faithfulness": [score.of(row, confidence) for score in scores],
            **{part: _conditions(node, label) for part, node in similarities.items()},
            "planted": _planted(result, label, confidence),
            "plausibility": [score.of(row, confidence) for score in plausibility],
            "cost": costs.get(label),
        }
        rows.append(entry)
    _adjust(rows)
    for entry in rows:
        entry["sentences"] = sentences_of(entry, confidence)
    kept = ("tokimp_version", "torch_version", "transformers_version", "backend_version", "threads", "created")
    return {
        "version": VERSION,
        "settings": dict(settings),
        "model": {
            name: str(result.attrs[name])
            for name in ("model_id", "model_fingerprint", "backend", "dtype", "device", "loading")
            if name in result.attrs
        },
        "versions": {name: str(result.attrs[name]) for name in kept if name in result.attrs},
        "chains": result.sizes["chain"],
        "confidence": confidence,
        "p_values": "Holm (1979), over all estimators, scores of faithfulness and controls of the audit",
        "answered": _answered(result),
        "not_computed": dict(not_computed),
        "estimators": rows,
    }


def _adjust(rows: Sequence[dict[str, Any]]) -> None:
    """Add to each difference from a control the p-value adjusted for all differences of the audit."""
    differences = [
        score[name]
        for entry in rows
        for score in entry["faithfulness"]
        for name in ("above_uniform", "above_position")
        if score.get(name, {}).get("p") is not None
    ]
    for difference, value in zip(differences, holm([difference["p"] for difference in differences]), strict=True):
        difference["p_adjusted"] = value


def _conditions(node: xr.Dataset, label: str) -> list[dict[str, Any]]:
    row = node.sel(estimator=label)
    conditions = []
    for condition in node["condition"].to_numpy():
        there = row.sel(condition=condition)
        measures = {
            str(measure): {
                **_shown(there.sel(measure=measure), int(there["chains_used"].sel(measure=measure))),
                "chains": int(there["chains_used"].sel(measure=measure)),
                "undefined": int(there["undefined"].sel(measure=measure)),
            }
            for measure in node["measure"].to_numpy()
        }
        conditions.append(
            {
                "condition": str(condition),
                "compared": int(there["compared"]),
                "unchanged": int(there["unchanged"]),
                "top_overlap_chance": finite(float(there["top_overlap_chance"])),
                **measures,
            }
        )
    return conditions


def _shown(node: xr.Dataset, chains: int, prefix: str = "") -> dict[str, float | None]:
    """Return a mean with its interval, which is left out over so few chains that it says nothing of others."""
    names = ("mean",) if few_chains(chains) else ("mean", "low", "high")
    return {name: finite(float(node[f"{prefix}{name}"])) if name in names else None for name in ("mean", "low", "high")}


def _planted(result: xr.DataTree, label: str, confidence: float) -> list[dict[str, Any]]:
    """Return AUROC and average precision for each kind of planted text, by unit and by sentence, and by stretch."""
    if "/analysis/planted" not in result.groups:
        return []
    node = analysis_node(result, "planted").sel(estimator=label)
    kinds = []
    for kind in node["kind"].to_numpy():
        of_kind = node.sel(kind=kind)
        entry: dict[str, Any] = {"kind": str(kind)}
        for level in PLANTED_LEVELS:
            for measure in ("auroc", "average_precision"):
                there = of_kind.sel(level=level, measure=measure)
                chance = there["kind_chance"].to_numpy()
                entry[f"{measure}_{level}"] = {
                    **_shown(there, int(there["kind_chains_used"]), "kind_"),
                    "chains": int(there["kind_chains_used"]),
                    "chance": mean_of(chance, confidence)["mean"],
                    "by_stretch": [finite(float(mean)) for mean in there["kind_band_mean"].to_numpy()],
                }
        kinds.append(entry)
    return kinds


def _answered(result: xr.DataTree) -> dict[str, Any]:
    """Return on how many chains the answer's value has more than half of the probability: in all, and by kind."""
    if "full_loglik_answer_value" not in result:
        return {}
    logprobs = result["full_loglik_answer_value"].to_numpy()
    sure, known = logprobs > np.log(0.5), ~np.isnan(logprobs)
    answered: dict[str, Any] = {"all": [int(sure.sum()), int(known.sum())]}
    if "/analysis/planted" in result.groups:
        node = analysis_node(result, "planted")
        for kind in node["kind"].to_numpy():
            holds = (node["kind_band"].sel(kind=kind).to_numpy() >= 0) & known
            answered[str(kind)] = [int((sure & holds).sum()), int(holds.sum())]
    return answered
