"""Run steps in one process or several, each as soon as what it needs is done; a failure stops only what needs it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from graphlib import TopologicalSorter
from multiprocessing import resource_tracker

import torch

from tokimp.chains.visible_text import visible
from tokimp.distillation.steps.step import Say, Step
from tokimp.errors import DistillationError, TokimpError
from tokimp.models.quiet_libraries import quiet_libraries

_QUIET = True
"""Whether this process, as a worker, leaves out tracebacks and what libraries write; set when it starts."""


def run_steps(steps: Sequence[Step], *, jobs: int, say: Say, quiet: bool = True) -> None:
    """Do all steps, each once the steps it needs are done.

    Parameters
    ----------
    steps
        Where several steps can begin, those that stand first here begin first. A step that one of these needs and that
        is not among them counts as done.
    jobs
        How many processes work at once; with 1 it is this one. Each has its share of torch's threads.
    say
        Called with a line for what is finished or under way. Lines of other processes go to standard error.
    quiet
        Whether other processes keep libraries from writing to standard error.

    Raises
    ------
    DistillationError
        Once everything else is done: if steps failed, with the first reason, or a process was killed.
    """
    by_name = {step.name: step for step in steps}
    places = {name: place for place, name in enumerate(by_name)}
    needs = {name: _names(step.needs) & by_name.keys() for name, step in by_name.items()}
    order = TopologicalSorter(needs)
    order.prepare()
    ready: list[str] = []
    running: dict[Future[None], str] = {}
    failed: dict[str, BaseException] = {}
    # Steps that need one that failed: what they are made from is not known, even where they were made earlier.
    stopped: dict[str, BaseException] = {}
    finished = 0
    with _submitter(jobs, say, quiet=quiet) as submit:
        while order.is_active():
            ready = sorted([*ready, *order.get_ready()], key=places.__getitem__)
            # In this process a step is done as soon as it is begun, and may make an earlier one ready.
            begin, ready = (ready[:1], ready[1:]) if jobs == 1 else (ready, [])
            for name in begin:
                reason = next((stopped[needed] for needed in sorted(needs[name]) if needed in stopped), None)
                if reason is None:
                    running[_begun(submit, by_name[name], finished, len(steps))] = name
                    continue
                stopped[name] = reason
                if not by_name[name].made():
                    failed[name] = reason
                order.done(name)
            ended = wait(running, return_when=FIRST_COMPLETED).done if running else set[Future[None]]()
            for future in ended:
                name = running.pop(future)
                error = _error_of(future, name, finished, len(steps))
                if error is None:
                    finished += 1
                else:
                    failed[name] = stopped[name] = error
                    say(f"{name} failed: {' '.join(str(error).split())}")
                order.done(name)
    if failed:
        first, reason = next(iter(failed.items()))
        message = str(reason) if str(reason).endswith(".") else f"{reason}."
        raise DistillationError(
            f"{len(failed)} of {len(steps)} steps failed, {finished} are done and kept; the first, {first}: "
            f"{message} Mend that and give the same command: it goes on with what is missing"
        ) from reason


def _names(steps: Iterable[Step]) -> set[str]:
    return {step.name for step in steps}


def _begun(submit: Callable[[Step], Future[None]], step: Step, done: int, total: int) -> Future[None]:
    """Begin a step. A pool with a worker that has died takes no more steps."""
    try:
        return submit(step)
    except BrokenProcessPool as error:
        raise _killed(step.name, done, total) from error


def _error_of(future: Future[None], name: str, done: int, total: int) -> BaseException | None:
    """Return what a step raised, if anything; raise where its process died, since then nothing can go on."""
    error = future.exception()
    if isinstance(error, BrokenProcessPool):
        raise _killed(name, done, total) from error
    return error


def _killed(name: str, done: int, total: int) -> DistillationError:
    return DistillationError(
        f"a worker process died (out of memory?) while {name} or another step was under way; {done} of {total} steps "
        "are done and kept: give the same command with fewer --jobs, and it goes on with what is missing"
    )


@contextmanager
def _submitter(jobs: int, say: Say, *, quiet: bool) -> Iterator[Callable[[Step], Future[None]]]:
    """Yield a function that begins a step and returns its future; with one job the step is done when it returns."""
    if jobs == 1:
        yield lambda step: _do_here(step, say)
        return
    # The tracker of multiprocessing would take the hold on Ctrl-C away if it began while the first worker does.
    resource_tracker.ensure_running()
    # A forked process would inherit the locks of torch and tokenizers in whatever state they are.
    with ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(max(1, torch.get_num_threads() // jobs), quiet),
    ) as pool:

        def submit(step: Step) -> Future[None]:
            with _interrupts_held():
                return pool.submit(_do_there, step)

        try:
            yield submit
        except BaseException:
            # Steps under way may end; no other step begins.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold back Ctrl-C, here until the end and in processes that begin meanwhile until they let it through."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _do_here(step: Step, say: Say) -> Future[None]:
    future: Future[None] = Future()
    try:
        step.run(say)
    # As in another process: whatever a step raises is reported with the step, and the rest goes on.
    except Exception as error:  # noqa: BLE001 - see above
        future.set_exception(error)
    else:
        future.set_result(None)
    return future


def _do_there(step: Step) -> None:
    try:
        step.run(_write_line)
    except TokimpError:
        raise
    # A library's exception that pickle cannot make anew would break the whole pool.
    except Exception as error:  # noqa: BLE001 - see above
        if not _QUIET:
            _write_line(traceback.format_exc())
        raise DistillationError(f"{type(error).__name__}: {error}") from None


def _write_line(text: str) -> None:
    sys.stderr.write(visible(text) + "\n")
    sys.stderr.flush()


def _start_worker(threads: int, quiet: bool) -> None:
    global _QUIET  # noqa: PLW0603 - a worker is told once, when it starts
    _QUIET = quiet
    # A terminal sends Ctrl-C to workers too. They end silently: the process that started them says that it came.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    torch.set_num_threads(threads)
    if quiet:
        quiet_libraries()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that started it was killed: nobody else would end it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
