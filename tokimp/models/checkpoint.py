"""Check that a checkpoint and its configuration belong together, from what transformers reports of loading it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tokimp.errors import ScorerError

LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")


def check_layers(name: str, config: Any) -> None:
    """Raise `ScorerError` if a configuration has no layers, as with ``num_hidden_layers: -1``."""
    layers = getattr(config.get_text_config(decoder=True), "num_hidden_layers", 1)
    if not isinstance(layers, int) or layers < 1:
        raise ScorerError(
            f"the configuration of {name!r} says num_hidden_layers: {layers}; a model has at least one layer: mend its "
            "config.json, or fetch the model again"
        )


def check_complete(name: str, config: Any, report: dict[str, Any]) -> None:
    """Raise `ScorerError` unless the checkpoint gave every weight of the model, and the model has all its layers.

    Transformers fills a missing weight with random numbers, other ones in every process.

    Parameters
    ----------
    name
        The name that was asked for.
    config
        The model's configuration.
    report
        What transformers returns for ``output_loading_info``.
    """
    missing, unexpected = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    mismatched = sorted(str(key[0]) for key in report["mismatched_keys"])
    if missing or mismatched:
        parts = [f"it lacks {_listed(missing)}"] if missing else []
        parts += [f"{_listed(mismatched)} of another shape"] if mismatched else []
        if unexpected:
            parts.append(f"it has {_listed(unexpected)} that the model has no place for")
        raise ScorerError(
            f"the checkpoint {name!r} does not fit its configuration: {'; '.join(parts)}. Random numbers would take "
            "the place of what is missing: fetch the model again, or mend its config.json"
        )
    if report.get("error_msgs"):
        reason = " ".join(str(report["error_msgs"]).split())[:300]
        raise ScorerError(f"the checkpoint {name!r} cannot be read: {reason}")
    config = config.get_text_config(decoder=True)
    # Layers behind the last that predict further tokens (MTP) are no part of the model.
    last = config.num_hidden_layers + (getattr(config, "num_nextn_predict_layers", None) or 0)
    beyond = [key for key in unexpected if (layer := LAYER.search(key)) and int(layer.group(1)) >= last]
    if beyond:
        raise ScorerError(
            f"the checkpoint {name!r} has more layers than its configuration says (num_hidden_layers: "
            f"{config.num_hidden_layers}), such as {_listed(beyond)}: mend its config.json, or fetch the model again"
        )


def _listed(keys: Iterable[str], most: int = 3) -> str:
    names = list(keys)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
