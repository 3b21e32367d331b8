"""Steps run by several processes, each as soon as what it needs is done; what fails stops nothing but what needs it."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import torch

from tokimp.distillation.steps.step import Say, Step
from tokimp.errors import DistillationError, TokimpError
from tokimp.models.quiet_libraries import quiet_libraries

_QUIET = True
"""Whether this process, as a worker, leaves out tracebacks and what libraries write."""


def run_steps(steps: Sequence[Step], *, jobs: int, say: Say, quiet: bool = True, done: Iterable[str] = ()) -> None:
    """Do all steps.

    Parameters
    ----------
    steps
        In an order in which what a step needs comes before it.
    jobs
        How many processes work at once; with 1 it is this one. Each has its share of torch's threads.
    say
        Called with a line for what is finished or under way. Of other processes, lines go to standard error.
    quiet
        Whether other processes keep libraries from writing to standard error.
    done
        Names of steps that are finished and not among these.

    Raises
    ------
    DistillationError
        Once everything else is done: if steps failed, with the first reason, or a process was killed.
    """
    waiting = {step.name: step for step in steps}
    failed: dict[str, BaseException] = {}
    running: dict[Future[None], str] = {}
    known = set(done)
    finished = 0
    with _submitter(jobs, say, quiet=quiet) as submit:
        while waiting or running:
            for name, step in list(waiting.items()):
                needs = {needed.name for needed in step.needs}
                if needs & failed.keys():
                    # The reason has been given with the step that failed; what was done before stays done.
                    if not step.made():
                        failed[name] = failed[next(iter(needs & failed.keys()))]
                    del waiting[name]
                elif needs <= known:
                    running[_begun(submit, step, finished, len(steps))] = name
                    del waiting[name]
                    if jobs == 1:
                        break
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                name = running.pop(future)
                error = _error_of(future, name, finished, len(steps))
                if error is None:
                    known.add(name)
                    finished += 1
                else:
                    failed[name] = error
                    say(f"{name} failed: {' '.join(str(error).split())}")
    if failed:
        first, reason = next(iter(failed.items()))
        told = str(reason) if str(reason).endswith(".") else f"{reason}."
        raise DistillationError(
            f"{len(failed)} of {len(steps)} steps failed, {finished} are done and kept; the first, {first}: "
            f"{told} Mend that and give the same command: it goes on with what is missing"
        ) from reason


def _begun(submit: Callable[[Step], Future[None]], step: Step, done: int, total: int) -> Future[None]:
    """Begin a step; a pool whose worker has died meanwhile takes none."""
    try:
        return submit(step)
    except BrokenProcessPool as error:
        raise _killed(step.name, done, total) from error


def _error_of(future: Future[None], name: str, done: int, total: int) -> BaseException | None:
    """Return what a step raised, if anything; where its process died, nothing can go on."""
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
    """Yield what begins a step and returns its outcome to come; with one job it has come at once."""
    if jobs == 1:
        yield lambda step: _do_here(step, say)
        return
    # Forked processes would share torch's and tokenizers' locks and threads in whatever state they are.
    with ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(max(1, torch.get_num_threads() // jobs), quiet),
    ) as pool:
        try:
            yield lambda step: pool.submit(_do_there, step)
        except BaseException:
            # What is under way may end; what has not begun is not begun.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _do_here(step: Step, say: Say) -> Future[None]:
    future: Future[None] = Future()
    try:
        step.run(say)
    # As in another process: whatever a step raises is told with it, and the rest goes on.
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
    # An exception of a library may not survive the way to the other process, and would take the pool with it.
    except Exception as error:  # noqa: BLE001 - see above
        if not _QUIET:
            _write_line(traceback.format_exc())
        raise DistillationError(f"{type(error).__name__}: {error}") from None


def _write_line(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _start_worker(threads: int, quiet: bool) -> None:
    global _QUIET  # noqa: PLW0603 - a worker is told once, when it starts
    _QUIET = quiet
    torch.set_num_threads(threads)
    if quiet:
        quiet_libraries()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that started it was killed: nobody would ever tell it to."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
