"""The steps of a plan before its cells, sampling and pruning; each has a folder of its own that says what it is."""

from __future__ import annotations

import json
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tokimp.atomic import remove_partial, write_object
from tokimp.compare import compare
from tokimp.datasets import SkippedRecord, load_chains
from tokimp.digests import file_digest, model_digest
from tokimp.distillation.engines import load_engine
from tokimp.distillation.plan import Method, ModelSpec, Plan, QuestionSet
from tokimp.distillation.prune import ready_estimator, write_pruned
from tokimp.distillation.sample import sample
from tokimp.distillation.task import Question
from tokimp.errors import DistillationError, PlanError, ResumeError
from tokimp.io import load, save
from tokimp.model_loading import load_scorer, load_tokenizer
from tokimp.progress import Progress
from tokimp.registry import load_estimator, load_task
from tokimp.run_folder import differences, digest
from tokimp.scorer import Scorer

PLAN = "plan.yaml"
"""The copy of a plan's file in its folder."""
Say = Callable[[str], None]
_SECONDS_BETWEEN_LINES = 10.0


@dataclass(frozen=True)
class Step(ABC):
    """A piece of a plan's work that can be done by any process, once the steps it needs are done.

    Attributes
    ----------
    plan
        Of which it is a part.
    out
        The plan's folder.
    """

    plan: Plan
    out: Path

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called, and its folder under `out`."""

    @property
    def needs(self) -> tuple[Step, ...]:
        """The steps that come before it."""
        return ()

    @property
    def folder(self) -> Path:
        """Where it keeps what it makes."""
        return self.out / self.name

    @property
    def chains_read(self) -> Path | None:
        """The file of chains that it reads, which a step it needs makes; ``None`` where it reads none."""
        return None

    @abstractmethod
    def own_identity(self) -> dict[str, Any]:
        """Return everything that changes what comes out, but for the chains it reads, which hang on other steps."""

    def identity(self) -> dict[str, Any]:
        """Return everything that changes what comes out; the steps it needs must be done."""
        chains = self.chains_read
        return {**self.own_identity(), "chains": None if chains is None else file_digest(chains)}

    @abstractmethod
    def made(self) -> bool:
        """Whether everything that it makes is there."""

    @abstractmethod
    def work(self, say: Say) -> None:
        """Do it, from where an earlier attempt stopped."""

    def _differences(self) -> list[str]:
        """Return how what its folder was made for differs from this plan, as far as that can be known yet."""
        path = self.folder / "step.json"
        if not path.exists():
            return []
        try:
            before = dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ResumeError(f"{path} is damaged ({error}); delete its folder, and it is done again") from error
        if self.chains_read is not None and not self.chains_read.is_file():
            # They are made first; until then everything else can be compared, and they when it is this step's turn.
            before.pop("chains", None)
            now = self.own_identity()
        else:
            now = self.identity()
        return list(differences(before, json.loads(json.dumps(now))))

    def check(self) -> None:
        """Raise `ResumeError` where its folder holds something else than this plan's; the message says what differs.

        Chains that are not made yet are not compared; all else is.
        """
        found = self._differences()
        if found:
            more = f"; and {len(found) - 6} more" if len(found) > 6 else ""
            raise ResumeError(
                f"{self.folder} was made for another plan ({'; '.join(found[:6])}{more}): give this plan another "
                "--out, or delete that folder, and it is done again"
            )

    def finished(self) -> bool:
        """Whether it is done, for this very plan."""
        return self.made() and (self.folder / "step.json").exists() and not self._differences()

    def run(self, say: Say) -> None:
        """Do it, unless it is done; first say in its folder what it is."""
        self.check()
        path = self.folder / "step.json"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            remove_partial(self.folder, path.name)
            write_object(path, self.identity())
        if not self.made():
            self.work(say)


@dataclass(frozen=True)
class Sampling(Step):
    """A teacher's chains."""

    teacher: ModelSpec

    @property
    def name(self) -> str:
        """``sample/TEACHER``."""
        return f"sample/{self.teacher.name}"

    @property
    def chains(self) -> Path:
        """The right chains."""
        return self.folder / "chains.jsonl"

    def own_identity(self) -> dict[str, Any]:
        """Task, questions, teacher and how it is asked."""
        return {
            "task": self.plan.task,
            "questions": questions_digest(self.plan.task, self.plan.questions),
            "teacher": model_identity(self.teacher),
            "sample": dict(self.plan.sample),
        }

    def made(self) -> bool:
        """Whether the chains and the report are there."""
        return self.chains.is_file() and (self.folder / "report.json").is_file()

    def work(self, say: Say) -> None:
        """Sample."""
        task = load_task(self.plan.task)
        asked = list(task_questions(self.plan.task, self.plan.questions))
        teacher = load_writer(self.teacher, self.teacher.model)
        skipped: list[SkippedRecord] = []
        report = sample(
            task, asked, teacher, self.folder, skipped=skipped, progress=_tenths(self.name, say), **self.plan.sample
        )
        say(
            f"{self.name}: {report.kept} chains of {report.questions} questions; of {report.sampled} responses "
            f"{report.right} right, {report.unsplittable} not to be split"
        )


@dataclass(frozen=True)
class Ranking(Step):
    """A teacher's chains, ranked once by a method and cut to every keep ratio."""

    teacher: ModelSpec
    pruner: ModelSpec
    method: Method

    @property
    def name(self) -> str:
        """``prune/TEACHER/PRUNER/METHOD``."""
        return f"prune/{self.teacher.name}/{self.pruner.name}/{self.method.name}"

    @property
    def needs(self) -> tuple[Step, ...]:
        """The chains."""
        return (Sampling(self.plan, self.out, self.teacher),)

    def chains(self, keep_ratio: float) -> Path:
        """Return the file of the chains cut to a keep ratio."""
        return self.folder / f"{keep_ratio:g}.jsonl"

    @property
    def chains_read(self) -> Path:
        """The teacher's chains."""
        return Sampling(self.plan, self.out, self.teacher).chains

    def own_identity(self) -> dict[str, Any]:
        """Pruner, method and what is deleted; not the keep ratios, so that a plan may be given more."""
        return {
            "pruner": model_identity(self.pruner),
            "estimator": self.method.estimator,
            "objective": self.method.objective,
            "unit": self.plan.unit,
            "prompt_format": self.plan.prompt_format,
            **self._inputs(),
        }

    def _inputs(self) -> dict[str, Any]:
        """Return digests of the files that the method's parameters name, if any: what is in them may change."""
        try:
            inputs = dict(load_estimator(self.method.estimator).input_digests())
        except OSError as error:
            raise PlanError(f"methods.{self.method.name}.estimator: its file cannot be read ({error})") from error
        return {"inputs": inputs} if inputs else {}

    def made(self) -> bool:
        """Whether the chains of every keep ratio are there."""
        told = self.prunings()
        return all(ratio in told and self.chains(ratio).is_file() for ratio in self.plan.keep_ratios)

    def prunings(self) -> dict[float, dict[str, Any]]:
        """Return what is known of the chains at each keep ratio; nothing where none are cut yet.

        Raises
        ------
        DistillationError
            If the report is damaged.
        """
        path = self.folder / "report.json"
        if not path.exists():
            return {}
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
            return {float(entry["keep_ratio"]): dict(entry) for entry in report["keep_ratios"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DistillationError(
                f"{path} is damaged ({type(error).__name__}: {error}); delete it, and the chains are cut anew from the "
                "ranking that is there"
            ) from error

    def work(self, say: Say) -> None:
        """Rank, and cut what is not cut yet."""
        estimator = ready_estimator(self.method.estimator, self.plan.keep_ratios, searches=False)
        # A ranking that stops at another ratio is another run of compare, and has a folder of its own.
        ranking = self.folder / ("ranking-" + re.sub(r"[^A-Za-z0-9._=-]+", "-", estimator.label))
        path = ranking / "results.nc"
        if path.is_file():
            result = load(path)
        else:
            skipped: list[SkippedRecord] = []
            scorer = load_scorer(
                self.pruner.model,
                backend=self.pruner.backend,
                device=self.pruner.device,
                dtype=self.pruner.dtype,
                **_trust(self.pruner),
            )
            result = compare(
                load_chains(self.chains_read, format="jsonl"),
                scorer,
                [estimator],
                objective=self.method.objective,
                unit=self.plan.unit,  # type: ignore[arg-type] # the plan has checked both
                prompt_format=self.plan.prompt_format,  # type: ignore[arg-type]
                out=ranking,
                skipped=skipped,
                progress=_tenths(self.name, say),
            )
            save(result, path)
        tokenizer = load_tokenizer(self.pruner.model, trust_remote_code=self.pruner.trust_remote_code)
        known = self.prunings()
        for ratio in self.plan.keep_ratios:
            if ratio not in known or not self.chains(ratio).is_file():
                pruning = write_pruned(
                    result, estimator.label, ratio, self.chains(ratio), tokenizer=tokenizer, skip_empty=True
                )
                known[ratio] = pruning.described()
        dataset = result.to_dataset()
        write_object(
            self.folder / "report.json",
            {
                "estimator": estimator.label,
                "objective": self.method.objective,
                "seconds": round(float(dataset["seconds"].sum()), 3),
                "tokens_forwarded": int(dataset["tokens_forwarded"].sum()),
                "skipped": json.loads(result.attrs["skipped"]),
                "keep_ratios": [known[ratio] for ratio in sorted(known, reverse=True)],
            },
        )
        say(f"{self.name}: cut to {', '.join(f'{ratio:g}' for ratio in self.plan.keep_ratios)}")


@lru_cache(maxsize=8)
def task_questions(task: str, questions: QuestionSet) -> tuple[Question, ...]:
    """Return the questions of a plan, read once a process."""
    return tuple(
        load_task(task).questions(questions.source, limit=questions.limit, seed=questions.seed, split=questions.split)
    )


@lru_cache(maxsize=8)
def questions_digest(task: str, questions: QuestionSet) -> str:
    """Return a digest of the questions of a plan."""
    return digest([[each.id, each.text, each.gold, each.system] for each in task_questions(task, questions)])


@lru_cache(maxsize=64)
def _digest_of(model: str) -> str:
    return model_digest(model)


def forget_files() -> None:
    """Read models' files and questions anew: at the start of a run they may have changed since the last."""
    for known in (_digest_of, task_questions, questions_digest):
        known.cache_clear()


def model_identity(spec: ModelSpec) -> dict[str, Any]:
    """Return what tells a model from another; not its name in the plan, nor the device, which may change."""
    told = {key: value for key, value in asdict(spec).items() if key not in {"name", "device"}}
    return {**told, "files": _digest_of(spec.model)}


def load_writer(spec: ModelSpec, model: str) -> Scorer:
    """Load what writes responses: a model of a plan, or with `model` what has become of it."""
    return load_engine(model, spec.engine, device=spec.device, dtype=spec.dtype, **_trust(spec))  # type: ignore[arg-type] # any text: a wrong one is refused there


def _trust(spec: ModelSpec) -> dict[str, bool]:
    return {"trust_remote_code": True} if spec.trust_remote_code else {}


def _tenths(name: str, say: Say) -> Callable[[Progress], None]:
    """Return a function that says how far a step has come: at every tenth of the way, if that takes a while."""
    shown, last = 0, time.monotonic()

    def show(standing: Progress) -> None:
        nonlocal shown, last
        tenth, now = 10 * standing.done // standing.total, time.monotonic()
        if tenth > shown and now - last > _SECONDS_BETWEEN_LINES and standing.done < standing.total:
            shown, last = tenth, now
            left = "" if standing.seconds_left is None else f", {standing.seconds_left:.0f} s left"
            say(f"{name}: {standing.done} of {standing.total} done{left}")

    return show
