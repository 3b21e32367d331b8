"""The steps that make chains: sampling from a teacher, and pruning. Students are trained on these chains."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from tokimp.chains.datasets import SkippedRecord, load_chains
from tokimp.compare.compare import compare
from tokimp.compare.worker_scorer import scorer_of_workers
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.executor import Executor
from tokimp.contracts.progress import Progress
from tokimp.contracts.registry import load_estimator, load_task
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.scorer_recipe import ScorerRecipe
from tokimp.distillation.ask.sample import sample
from tokimp.distillation.plan.inputs import load_writer, questions_digest, spec_identity, task_questions
from tokimp.distillation.plan.models import ModelSpec
from tokimp.distillation.plan.plan import Method
from tokimp.distillation.prune import ready_estimator, write_pruned
from tokimp.distillation.steps.step import Say, Step
from tokimp.errors import DistillationError, PlanError, SchemaError
from tokimp.models.configuration import load_tokenizer
from tokimp.models.loading import load_scorer
from tokimp.results.io import load, save
from tokimp.storage.atomic import write_object
from tokimp.storage.json_file import read_object

_SECONDS_BETWEEN_LINES = 10.0


@dataclass(frozen=True)
class Sampling(Step):
    """The step in which a teacher writes chains."""

    teacher: ModelSpec

    @property
    def name(self) -> str:
        """``sample/TEACHER``."""
        return f"sample/{self.teacher.name}"

    @property
    def chains(self) -> Path:
        """The file of chains with a right answer."""
        return self.folder / "chains.jsonl"

    def own_identity(self) -> dict[str, Any]:
        """Return task, questions, teacher and how it is asked."""
        return {
            "task": self.plan.task,
            "questions": questions_digest(self.plan.task, self.plan.questions),
            "teacher": spec_identity(self.teacher),
            "sample": dict(self.plan.sample),
        }

    def made(self) -> bool:
        """Return whether the chains and the report are there."""
        return self.chains.is_file() and (self.folder / "report.json").is_file()

    def work(self, say: Say, executor: Executor) -> None:
        """Let the teacher respond to the questions, and keep the right chains."""
        task = load_task(self.plan.task)
        asked = list(task_questions(self.plan.task, self.plan.questions))
        skipped: list[SkippedRecord] = []
        with executor:
            report = sample(
                task,
                asked,
                load_writer(self.teacher, self.teacher.model, executor),
                self.folder,
                skipped=skipped,
                executor=executor,
                progress=_sayer_of_tenths(self.name, say),
                **self.plan.sample,
            )
        say(
            f"{self.name}: {report.kept} chains of {report.questions} questions; of {report.sampled} responses "
            f"{report.right} right, {report.unsplittable} cannot be split"
        )


@dataclass(frozen=True)
class Ranking(Step):
    """The step in which a method ranks a teacher's chains once, and they are cut to every keep ratio."""

    teacher: ModelSpec
    pruner: ModelSpec
    method: Method

    @property
    def name(self) -> str:
        """``prune/TEACHER/PRUNER/METHOD``."""
        return f"prune/{self.teacher.name}/{self.pruner.name}/{self.method.name}"

    @property
    def needs(self) -> tuple[Step, ...]:
        """The step that samples the chains."""
        return (Sampling(self.plan, self.out, self.teacher),)

    def chains(self, keep_ratio: float) -> Path:
        """Return the file of the chains cut to a keep ratio."""
        return self.folder / f"{keep_ratio:g}.jsonl"

    @property
    def chains_read(self) -> Path:
        """The teacher's chains."""
        return Sampling(self.plan, self.out, self.teacher).chains

    def own_identity(self) -> dict[str, Any]:
        """Return pruner, method and what is deleted; not the keep ratios, so that more can be added to a plan."""
        return {
            "pruner": spec_identity(self.pruner),
            "estimator": self.method.estimator,
            "objective": self.method.objective,
            "unit": self.plan.unit,
            "prompt_format": self.plan.prompt_format,
            **self._inputs(),
        }

    def _inputs(self) -> dict[str, Any]:
        """Return digests of the files that the method's parameters name, if any, since their content may change."""
        try:
            inputs = dict(load_estimator(self.method.estimator).input_digests())
        except OSError as error:
            raise PlanError(f"methods.{self.method.name}.estimator: its file cannot be read ({error})") from error
        return {"inputs": inputs} if inputs else {}

    def made(self) -> bool:
        """Return whether the chains of every keep ratio are there."""
        prunings = self.prunings()
        return all(ratio in prunings and self.chains(ratio).is_file() for ratio in self.plan.keep_ratios)

    def prunings(self) -> dict[float, dict[str, Any]]:
        """Return the entry of ``report.json`` for each keep ratio; none before any chain is cut.

        Raises
        ------
        DistillationError
            If the report is damaged.
        """
        path = self.folder / "report.json"
        if not path.exists():
            return {}
        try:
            report = read_object(path)
            return {float(entry["keep_ratio"]): dict(entry) for entry in report["keep_ratios"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DistillationError(
                f"{path} is damaged ({type(error).__name__}: {error}); delete it, and the chains are cut anew from the "
                "ranking, which is kept"
            ) from error

    def work(self, say: Say, executor: Executor) -> None:
        """Rank the chains, unless that is done, and cut them to each keep ratio that is missing."""
        estimator = ready_estimator(self.method.estimator, self.plan.keep_ratios, searches=False)
        result = self._ranked(estimator, say, executor)
        tokenizer = load_tokenizer(self.pruner.model, trust_remote_code=self.pruner.trust_remote_code)
        prunings = self.prunings()
        for ratio in self.plan.keep_ratios:
            if ratio not in prunings or not self.chains(ratio).is_file():
                pruning = write_pruned(
                    result, estimator.label, ratio, self.chains(ratio), tokenizer=tokenizer, skip_empty=True
                )
                prunings[ratio] = pruning.described()
        dataset = result.to_dataset()
        write_object(
            self.folder / "report.json",
            {
                "estimator": estimator.label,
                "objective": self.method.objective,
                "seconds": round(float(dataset["seconds"].sum()), 3),
                "tokens_forwarded": int(dataset["tokens_forwarded"].sum()),
                "skipped": json.loads(result.attrs["skipped"]),
                "keep_ratios": [prunings[ratio] for ratio in sorted(prunings, reverse=True)],
            },
        )
        say(f"{self.name}: cut to {', '.join(f'{ratio:g}' for ratio in self.plan.keep_ratios)}")

    def _ranked(self, estimator: ImportanceEstimator, say: Say, executor: Executor) -> xr.DataTree:
        """Return the result that ranks the chains, from its file if there is one."""
        # A ranking that stops at another keep ratio is another run of compare, in a folder of its own.
        folder = self.folder / ("ranking-" + re.sub(r"[^A-Za-z0-9._=-]+", "-", estimator.label))
        path = folder / "results.nc"
        if path.is_file():
            try:
                return load(path)
            except SchemaError as error:
                # The cells beside it are kept, so that little is done again.
                say(f"{self.name}: {error}")
        skipped: list[SkippedRecord] = []
        with executor:
            result = compare(
                load_chains(self.chains_read, format="jsonl"),
                _load_pruner(self.pruner, executor),
                [estimator],
                objective=self.method.objective,
                unit=self.plan.unit,
                prompt_format=self.plan.prompt_format,
                out=folder,
                skipped=skipped,
                executor=executor,
                progress=_sayer_of_tenths(self.name, say),
            )
        save(result, path)
        return result


def _load_pruner(spec: ModelSpec, executor: Executor) -> Scorer:
    """Load a pruner, or let workers load it."""
    where: dict[str, Any] = {"device": spec.device, "dtype": spec.dtype}
    if executor.here:
        return load_scorer(spec.model, backend=spec.backend, **where, **spec.options())
    return scorer_of_workers(executor, ScorerRecipe(spec.model, spec.backend, **where, options=spec.options()))


def _sayer_of_tenths(name: str, say: Say) -> Callable[[Progress], None]:
    """Return a function that says how far a step has come, at every tenth, but not more often than every 10 seconds."""
    shown, last = 0, time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal shown, last
        tenth, now = 10 * progress.done // progress.total, time.monotonic()
        if tenth > shown and now - last > _SECONDS_BETWEEN_LINES and progress.done < progress.total:
            shown, last = tenth, now
            left = "" if progress.seconds_left is None else f", {progress.seconds_left:.0f} s left"
            say(f"{name}: {progress.done} of {progress.total} done{left}")

    return show
