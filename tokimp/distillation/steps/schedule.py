"""Do steps: those that make chains use workers for their parts, and students are a piece of work each."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from graphlib import TopologicalSorter

from tokimp.contracts.executor import Executor, Failure, Piece, Work, Workers
from tokimp.contracts.registry import load_executor
from tokimp.distillation.steps.step import Say, Step
from tokimp.errors import DistillationError
from tokimp.models.kept_scorer import forget_kept_scorer
from tokimp.models.quiet_libraries import quiet_libraries


def run_steps(steps: Sequence[Step], *, executor: Executor, say: Say, quiet: bool = True) -> None:
    """Do all steps, each once the steps it needs are done.

    Steps that make chains are done one after the other, in this process; the executor's workers write and rank for
    them. Then come the steps that are done as a whole by one worker (`Step.is_piece`), which no other step needs.

    Parameters
    ----------
    steps
        Where several steps can begin, those that stand first here begin first. A step that one of these needs and that
        is not among them counts as done.
    executor
        Where work is done.
    say
        Called with a line for what is finished or under way.
    quiet
        Whether other processes keep libraries from writing to standard error, and tracebacks are left out.

    Raises
    ------
    DistillationError
        Once everything else is done: if steps failed, with the first reason.
    ExecutorError
        If no worker can be started.
    """
    record = _Record(len(steps), say, quiet=quiet)
    pieces: list[Step] = []
    for step in _in_order(steps):
        if record.is_stopped(step):
            continue
        if step.is_piece:
            pieces.append(step)
            continue
        try:
            step.run(say, executor)
        # Whatever a step raises is reported with the step, and the rest goes on.
        except Exception as error:  # noqa: BLE001 - see above
            record.fail(step, Failure.of(error))
        else:
            record.finished += 1
    with executor:
        _run_pieces(pieces, executor, record)
    record.raise_failures()


class StudentWork(Work):
    """Does steps that one worker does as a whole: a student is trained and evaluated where its weights are kept.

    Parameters
    ----------
    device
        Where models are loaded, as for `tokimp.load_scorer`.
    say
        Called with lines, if the work is done in this process; elsewhere they are sent back.
    quiet
        Whether libraries are kept from writing to standard error.
    """

    def __init__(self, device: str, *, say: Say | None, quiet: bool) -> None:
        self.device = device
        self._say, self._quiet = say, quiet

    def prepare(self) -> Callable[[Step], list[str]]:
        """Let go of the model that earlier steps kept, and return the function that does a step."""
        forget_kept_scorer()
        if self._say is None and self._quiet:
            quiet_libraries()
        return self._do

    def _do(self, step: Step) -> list[str]:
        said: list[str] = []
        step.run(said.append if self._say is None else self._say, load_executor("local"))
        return said


def _run_pieces(steps: Sequence[Step], executor: Executor, record: _Record) -> None:
    devices = {step.device for step in steps}
    device = devices.pop() if len(devices) == 1 else "auto"
    work = StudentWork(device, say=record.say if executor.here else None, quiet=record.quiet)
    pieces = [Piece(place, step.name, step, weight=step.weight) for place, step in enumerate(steps)]
    with closing(executor.run(work, pieces, _unwatched)) as outcomes:
        for outcome in outcomes:
            step = steps[outcome.piece.index]
            if outcome.failure is not None:
                record.fail(step, outcome.failure)
                continue
            record.finished += 1
            for line in outcome.result:
                record.say(line)


def _unwatched(_workers: Workers) -> None:
    """Tell nobody how many workers there are: lines say what is finished."""


def _in_order(steps: Sequence[Step]) -> Iterator[Step]:
    """Yield steps so that each comes after those it needs, and else in the order given."""
    by_name = {step.name: step for step in steps}
    places = {name: place for place, name in enumerate(by_name)}
    order = TopologicalSorter(
        {name: {needed.name for needed in step.needs} & by_name.keys() for name, step in by_name.items()}
    )
    order.prepare()
    ready: list[str] = []
    while order.is_active():
        ready = sorted([*ready, *order.get_ready()], key=places.__getitem__)
        name = ready.pop(0)
        yield by_name[name]
        order.done(name)


class _Record:
    """Which steps are finished, which failed, and which cannot be done because of those."""

    def __init__(self, total: int, say: Say, *, quiet: bool) -> None:
        self._total, self.say, self.quiet = total, say, quiet
        self.finished = 0
        self._failed: dict[str, BaseException] = {}
        # Steps that need one that failed: what they are made from is not known, even where they were made earlier.
        self._stopped: dict[str, BaseException] = {}

    def is_stopped(self, step: Step) -> bool:
        """Return whether a step needs one that failed; then it is not done either."""
        needed = sorted(needed.name for needed in step.needs)
        reason = next((self._stopped[name] for name in needed if name in self._stopped), None)
        if reason is None:
            return False
        self._stopped[step.name] = reason
        if not step.made():
            self._failed[step.name] = reason
        return True

    def fail(self, step: Step, failure: Failure) -> None:
        """Take note that a step failed, and say so."""
        self._failed[step.name] = self._stopped[step.name] = failure.error
        self.say(f"{step.name} failed: {' '.join(str(failure.error).split())}")
        if not self.quiet:
            self.say(failure.traceback or "".join(traceback.format_exception(failure.error)))

    def raise_failures(self) -> None:
        """Raise `DistillationError` if a step failed."""
        if not self._failed:
            return
        first, reason = next(iter(self._failed.items()))
        message = str(reason) if str(reason).endswith(".") else f"{reason}."
        raise DistillationError(
            f"{len(self._failed)} of {self._total} steps failed, {self.finished} are done and kept; the first, "
            f"{first}: {message} Mend that and give the same command: it goes on with what is missing"
        ) from reason
