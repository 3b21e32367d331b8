"""What an audit does: which chains, conditions and analyses, in full or quickly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

import yaml

from tokimp.errors import TokimpError

QUICK_METRICS = ("faithfulness", "faithfulness:operator=mask")
METRICS = (*QUICK_METRICS, "cpr_cmd", "soft_faithfulness")
METRICS_OF_FEW_UNITS = ("naopc", "magnitude")
"""These look at every step of a deletion, or at every subset, which many units make too many."""
FEW_UNITS = 16


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """Settings of an audit, as a configuration file holds them.

    Attributes
    ----------
    model, backend, dtype
        As of `tokimp.load_scorer`.
    chains
        As of `tokimp.load_chains`, or ``word_problems``: problems with planted text
        (`tokimp.chains.datasets.planted_problems`), which the embedded model was not trained on.
    limit
        How many chains.
    unit, objective
        As of `tokimp.compare`. The audit asks what the answer rests on, so the objective is ``answer``.
    seed
        The seed of everything random.
    cuts
        By how many steps the weights become random; ``None``: one for the head, one for each block, one for the
        embeddings.
    changed_chains
        On how many chains, the first ones, estimators run again under changed conditions.
    seeds
        How many further seeds each estimator runs with.
    metrics
        Analyses of faithfulness, by name and parameters, that are run on all chains; ``None``: `METRICS`, and where no
        chain has more than `FEW_UNITS` units `METRICS_OF_FEW_UNITS` too.
    """

    model: str = "tiny"
    backend: str = "transformer_lens"
    dtype: str = "auto"
    chains: str = "word_problems"
    limit: int | None = 100
    unit: str = "token"
    objective: str = "answer"
    seed: int = 0
    cuts: int | None = None
    changed_chains: int = 30
    seeds: int = 2
    metrics: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, fewest in (("limit", 1), ("cuts", 2), ("changed_chains", 1), ("seeds", 0), ("seed", 0)):
            value = getattr(self, name)
            if value is None and name in {"limit", "cuts"}:
                continue
            if type(value) is not int or value < fewest:
                raise TokimpError(f"{name}={value!r} is not allowed; give a whole number from {fewest} on")
        for name in ("model", "backend", "dtype", "chains", "unit", "objective"):
            if not isinstance(getattr(self, name), str):
                raise TokimpError(f"{name}={getattr(self, name)!r} is not allowed; give a text")
        if self.metrics is None:
            return
        if isinstance(self.metrics, str) or not all(isinstance(metric, str) for metric in self.metrics):
            raise TokimpError(f"metrics={self.metrics!r} is not allowed; give a list of analyses by name")
        object.__setattr__(self, "metrics", tuple(self.metrics))

    def quick(self) -> Self:
        """Return the same settings with few chains, four cuts and one further seed: minutes become seconds."""
        return replace(
            self,
            limit=min(self.limit or 8, 8),
            cuts=4,
            changed_chains=5,
            seeds=1,
            metrics=self.metrics or QUICK_METRICS,
        )

    def described(self) -> dict[str, Any]:
        """Return the settings as JSON holds them."""
        return {**asdict(self), "metrics": None if self.metrics is None else list(self.metrics)}

    def metrics_for(self, most_units: int) -> tuple[str, ...]:
        """Return the analyses of faithfulness for chains of at most so many units."""
        if self.metrics is not None:
            return self.metrics
        return METRICS + (METRICS_OF_FEW_UNITS if most_units <= FEW_UNITS else ())


@dataclass(frozen=True, slots=True)
class LeaderboardSettings:
    """What a leaderboard is made of: estimators, and one audit of all of them for each unit.

    Attributes
    ----------
    estimators
        Estimators, by name and parameters.
    units
        The units, each with an audit of its own.
    audit
        The settings of the audits.
    """

    estimators: tuple[str, ...]
    units: tuple[str, ...] = ("token", "sentence")
    audit: AuditSettings = field(default_factory=AuditSettings)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return what a YAML file says.

        Raises
        ------
        TokimpError
            If the file cannot be read, or says something that is no setting, or has a value that is not allowed.
        """
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise TokimpError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
        if not isinstance(content, Mapping):
            raise TokimpError(f"{path} holds no settings; write 'estimators: [...]', 'units: [...]' and 'audit: ...'")
        known = {known.name for known in fields(cls)}
        _refuse_unknown(path, content, known)
        settings = content.get("audit") or {}
        if not isinstance(settings, Mapping):
            raise TokimpError(f"{path}: 'audit' must hold settings, such as 'limit: 200'")
        _refuse_unknown(path, settings, {known.name for known in fields(AuditSettings)} - {"unit"}, "audit: ")
        lists = {name: content[name] for name in ("estimators", "units") if name in content}
        for name, value in lists.items():
            if not isinstance(value, list) or not value or not all(isinstance(entry, str) for entry in value):
                raise TokimpError(f"{path}: {name!r} must be a list of texts, with one at least")
        if "estimators" not in lists:
            raise TokimpError(f"{path} names no estimators; write 'estimators: [greedy, attention]'")
        try:
            return cls(**{name: tuple(value) for name, value in lists.items()}, audit=AuditSettings(**settings))
        except TokimpError as error:
            raise TokimpError(f"{path}: {error}") from error


def _refuse_unknown(path: Path, content: Mapping[Any, Any], known: set[str], where: str = "") -> None:
    unknown = [str(name) for name in content if name not in known]
    if unknown:
        raise TokimpError(f"{path}: {where}there is no setting {unknown[0]!r}; there are {', '.join(sorted(known))}")
