"""Follow a plan: teacher x pruner x method x keep ratio x student x seed. Nothing finished is ever done again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tokimp.contracts.executor import Executor
from tokimp.contracts.registry import load_executor
from tokimp.contracts.task import Question
from tokimp.distillation.plan.grid import cells
from tokimp.distillation.plan.inputs import forget_files, task_questions
from tokimp.distillation.plan.plan import Plan
from tokimp.distillation.plan.reader import naming
from tokimp.distillation.report import draw_curves
from tokimp.distillation.steps.cell_steps import CellStep, steps
from tokimp.distillation.steps.chain_steps import Sampling
from tokimp.distillation.steps.check_models import check_models
from tokimp.distillation.steps.cost import PendingPlan
from tokimp.distillation.steps.results import cell_table, curve_table, method_differences, right_answers
from tokimp.distillation.steps.schedule import run_steps
from tokimp.distillation.steps.step import PLAN, Say, Step
from tokimp.errors import PlanError, ResumeError
from tokimp.report.figure_files import save_figure
from tokimp.storage.atomic import replacing, write_object
from tokimp.storage.overwriting import refuse_overwriting
from tokimp.storage.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class Distillation:
    """The results of a plan.

    Attributes
    ----------
    cells, curves, differences
        Tables of `tokimp.distillation.steps.results`: a row for each cell, each point of a curve, each pair of methods.
    missing
        Names of cells that are not finished.
    """

    cells: pd.DataFrame
    curves: pd.DataFrame
    differences: pd.DataFrame
    missing: tuple[str, ...]


def distill(
    plan: Plan | str | Path,
    out: str | Path,
    *,
    executor: str | Executor = "local",
    only: str | None = None,
    redo: bool = False,
    before_work: Callable[[PendingPlan], None] | None = None,
    say: Say = lambda _: None,
    quiet: bool = True,
) -> Distillation:
    """Sample, prune, train and evaluate as a plan says, and compare the methods.

    Parameters
    ----------
    plan
        A plan, or the YAML file of one.
    out
        A folder: ``sample``, ``prune`` and ``train``, with a folder for each step; ``cells.csv``, ``curves.csv`` and
        ``differences.csv``, all three also in ``results.json``; ``curves.png`` and ``curves.svg``. Methods, keep
        ratios, seeds and models can be added to the plan later; what is there is kept.
    executor
        Where work is done: a name with parameters where it has some (``processes:workers=2``), or an instance. Its
        workers write a teacher's batches, rank chains, and train and evaluate one student each. They load the models
        themselves and must see the folder, since the worker that trains a student writes its weights there. The numbers
        are the same everywhere, on the same kind of device and with the same number of threads.
    only
        The name of one cell: only it is done, with the steps it needs.
    redo
        With `only`: do that cell again, even if it is finished; its folder is deleted once everything else is checked.
    before_work
        Called with what is left to do, after all checks and before any step.
    say
        Called with a line for each step that is finished or under way.
    quiet
        Whether worker processes keep libraries from writing to standard error, and tracebacks are not said.

    Raises
    ------
    PlanError
        If the plan cannot be followed: a method's parameter is not allowed, a model that is still to be loaded is not
        there or has no tokenizer, or a question to train on is also one to test on; before any work.
    TrainingError
        If the training library is not installed.
    ResumeError
        If the folder holds what another plan made, or is in use; before any work.
    DistillationError
        If a step failed; everything that does not need it was done, and the results of what is finished are written.
    ExecutorError
        If no worker can be started.
    """
    file = None if isinstance(plan, Plan) else Path(plan)
    followed = Plan.load(file) if file is not None else plan
    assert isinstance(followed, Plan)  # noqa: S101 - for the type checker
    running = load_executor(executor)
    running.validate_parameters()
    with naming(file):
        followed.check_methods()
    folder = Path(out)
    forget_files()
    to_do = _steps(followed, folder, only)
    if redo and only is None:
        raise PlanError("redo is about one cell; name it (--cell)")
    if any(isinstance(step, Sampling) for step in to_do):
        with naming(file):
            refuse_shared_questions(followed)
    with RunFolder(folder, {"what": "distillation"}, work="sample"):
        # The folder of a cell that is done again may hold what another plan made.
        with naming(file):
            for step in to_do[:-1] if redo else to_do:
                step.check()
            # The models of steps that are done are not loaded again.
            check_models(followed, [step for step in to_do if not step.made() or (redo and step is to_do[-1])], say)
        if redo and to_do[-1].folder.exists():
            models = (*followed.teachers, *followed.pruners, *followed.students)
            refuse_overwriting([to_do[-1].folder], {f"model {spec.name!r}": spec.model for spec in models})
            _remove(to_do[-1].folder)
        if file is not None and file.resolve() != (folder / PLAN).resolve():
            with replacing(folder / PLAN) as partial:
                shutil.copyfile(file, partial)
        unfinished = _not_settled(to_do)
        if len(unfinished) < len(to_do):
            say(f"{len(to_do) - len(unfinished)} of {len(to_do)} steps were done already")
        if before_work is not None:
            with running:
                before_work(PendingPlan(followed, folder, unfinished, running))
        # Workers stay from step to step.
        with _written_if_it_fails(followed, folder, say), running:
            run_steps(unfinished, executor=running, say=say, quiet=quiet)
        return _gather_and_write(followed, folder)


def left_of(
    plan: Plan, out: str | Path, executor: Executor, *, only: str | None = None, redo: bool = False
) -> PendingPlan:
    """Return what `distill` would still do; the folder is only read.

    Parameters
    ----------
    plan, out, only, redo
        As of `distill`.
    executor
        Where work is done, entered.

    Raises
    ------
    PlanError
        If there is no such cell.
    ResumeError
        If the folder of a step holds what another plan made.
    """
    folder = Path(out)
    to_do = _steps(plan, folder, only)
    # The folder of a cell that is done again may hold what another plan made.
    kept = to_do[:-1] if redo else to_do
    for step in kept:
        step.check()
    unfinished = [*_not_settled(kept), *to_do[len(kept) :]]
    return PendingPlan(plan, folder, unfinished, executor)


def _steps(plan: Plan, folder: Path, only: str | None) -> list[Step]:
    to_do = steps(plan, folder, only)
    if not to_do:
        known = [cell.name for cell in cells(plan)]
        raise PlanError(f"there is no cell {only!r} in the plan; there are {', '.join(known[:3])}, ... ({len(known)})")
    return to_do


def refuse_shared_questions(plan: Plan) -> None:
    """Raise `PlanError` where a question that teachers are asked is also one that students are tested on.

    Texts are compared, without regard to white space: two files may give one question two ids.
    """
    tested = {_words(question) for question in task_questions(plan.task, plan.test)}
    shared = [question for question in task_questions(plan.task, plan.questions) if _words(question) in tested]
    if shared:
        raise PlanError(
            f"questions and test share {len(shared)} questions, so that students would be tested on what they were "
            f"trained on; the first is {shared[0].id!r}: {shared[0].text[:80]!r}. Give questions and test another "
            "split or source each, or take these questions out of one of the files"
        )


def _words(question: Question) -> str:
    return " ".join(question.text.split())


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise ResumeError(f"{folder} cannot be deleted to be done again ({error}); delete it yourself") from error


@contextmanager
def _written_if_it_fails(plan: Plan, folder: Path, say: Say) -> Iterator[None]:
    """Write the results of what is finished if something fails; the first error is the one that is raised."""
    try:
        yield
    except BaseException:
        try:
            _gather_and_write(plan, folder)
        # It must not take the place of the first error.
        except Exception as error:  # noqa: BLE001 - see above
            say(f"the tables were not written: {' '.join(str(error).split())}")
        raise


def _gather_and_write(plan: Plan, folder: Path) -> Distillation:
    """Gather what is finished, and write it as tables and a figure."""
    results = gather(plan, folder)
    if len(results.cells):
        _write(results, folder)
    return results


def _not_settled(to_do: Sequence[Step]) -> list[Step]:
    """Return the steps to run: those not finished, and those that need one of them, which are checked anew."""
    open_steps: dict[str, Step] = {}
    for step in to_do:
        if not step.finished() or any(needed.name in open_steps for needed in step.needs):
            open_steps[step.name] = step
    return list(open_steps.values())


def gather(plan: Plan, out: str | Path) -> Distillation:
    """Return the results of what is finished, without doing any work."""
    folder = Path(out)
    table = cell_table(plan, folder)
    missing = tuple(cell.name for cell in cells(plan) if not CellStep(plan, folder, cell).finished())
    if not len(table):
        return Distillation(table, table, table, missing)
    right = right_answers(plan, folder, table)
    return Distillation(table, curve_table(table, right), method_differences(table, right), missing)


def _write(results: Distillation, folder: Path) -> None:
    """Write tables and figure, each file as a whole or not at all."""
    tables = {"cells": results.cells, "curves": results.curves, "differences": results.differences}
    for name, table in tables.items():
        with replacing(folder / f"{name}.csv") as partial:
            table.to_csv(partial, index=False)
    records = {
        name: table.astype(object).where(table.notna(), None).to_dict("records") for name, table in tables.items()
    }
    write_object(folder / "results.json", {**records, "missing": list(results.missing)})
    save_figure(draw_curves(results.curves), folder, "curves")
