"""A step: a part of a plan's work, with a folder of its own in which ``step.json`` says what the step is."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokimp.contracts.executor import Executor
from tokimp.distillation.plan.plan import Plan
from tokimp.errors import ResumeError
from tokimp.storage.atomic import remove_partial, write_object
from tokimp.storage.differences import differences
from tokimp.storage.digests import file_digest
from tokimp.storage.json_file import read_object
from tokimp.storage.write_errors import naming_what_is_written

PLAN = "plan.yaml"
"""The copy of a plan's file in the plan's folder."""
_SHOWN = 6
Say = Callable[[str], None]
"""Takes a line for the user to read."""


@dataclass(frozen=True)
class Step(ABC):
    """A part of a plan's work that any process can do, once the steps it needs are done.

    Attributes
    ----------
    plan
        The plan it is a part of.
    out
        The plan's folder.
    """

    plan: Plan
    out: Path

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the step, and of its folder under `out`."""

    @property
    def needs(self) -> tuple[Step, ...]:
        """The steps that must be done before this one."""
        return ()

    @property
    def folder(self) -> Path:
        """The folder in which it keeps what it makes."""
        return self.out / self.name

    @property
    def chains_read(self) -> Path | None:
        """The file of chains that it reads, made by a step that it needs; ``None`` if it reads none."""
        return None

    @property
    def is_piece(self) -> bool:
        """Whether one worker does it as a whole, beside others; no other step needs such a step."""
        return False

    @property
    def device(self) -> str:
        """Where its models are loaded, as for `tokimp.load_scorer`."""
        return "auto"

    @property
    def weight(self) -> float:
        """How long it takes compared with others that are done beside it."""
        return 1.0

    @abstractmethod
    def own_identity(self) -> dict[str, Any]:
        """Return everything that changes what this step makes, except the chains it reads."""

    def identity(self) -> dict[str, Any]:
        """Return everything that changes what this step makes; the steps it needs must be done."""
        chains = self.chains_read
        return {**self.own_identity(), "chains": None if chains is None else file_digest(chains)}

    @abstractmethod
    def made(self) -> bool:
        """Return whether everything that it makes is there."""

    @abstractmethod
    def work(self, say: Say, executor: Executor) -> None:
        """Do the work that is left after earlier attempts; its parts, if it has any, where the executor does them."""

    def _differences(self) -> list[str]:
        """List the differences between the plan recorded in the folder and this one.

        The chains that the step reads are not compared while they are not made yet.
        """
        path = self.folder / "step.json"
        if not path.exists():
            return []
        try:
            recorded = read_object(path)
        except (OSError, ValueError, TypeError) as error:
            raise ResumeError(f"{path} is damaged ({error}); delete its folder, and the step is done again") from error
        if self.chains_read is not None and not self.chains_read.is_file():
            # They are compared when it is this step's turn, since then they are made.
            recorded.pop("chains", None)
            current = self.own_identity()
        else:
            current = self.identity()
        return list(differences(recorded, json.loads(json.dumps(current))))

    def check(self) -> None:
        """Raise `ResumeError` if the folder was made for another plan; the message lists the differences.

        Chains that are not made yet are not compared; everything else is.
        """
        different = self._differences()
        if different:
            more = f"; and {len(different) - _SHOWN} more" if len(different) > _SHOWN else ""
            raise ResumeError(
                f"{self.folder} was made for another plan ({'; '.join(different[:_SHOWN])}{more}): give this plan "
                "another --out, or delete that folder, and the step is done again"
            )

    def finished(self) -> bool:
        """Return whether the step is done, and for this plan."""
        return self.made() and (self.folder / "step.json").exists() and not self._differences()

    def run(self, say: Say, executor: Executor) -> None:
        """Do the step unless it is done; before any work, ``step.json`` records what it is."""
        self.check()
        path = self.folder / "step.json"
        with naming_what_is_written(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        # The plan's folder is locked, and a step is done by one process: what is half written was left by a kill.
        remove_partial(self.folder)
        if not path.exists():
            write_object(path, self.identity())
        if not self.made():
            self.work(say, executor)
