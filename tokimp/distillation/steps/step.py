"""A step: a piece of a plan's work, with a folder of its own that says what it is."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokimp.distillation.plan.plan import Plan
from tokimp.errors import ResumeError
from tokimp.storage.atomic import remove_partial, write_object
from tokimp.storage.differences import differences
from tokimp.storage.digests import file_digest

PLAN = "plan.yaml"
"""The copy of a plan's file in its folder."""
Say = Callable[[str], None]


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
