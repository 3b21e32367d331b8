"""Whether somebody has set hooks on a model: then every number has to go through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@dataclass(frozen=True)
class ModelState:
    """The modules of a model and how many hooks each has: what it was like when it was loaded.

    Parameters
    ----------
    root
        The outermost module: a transformers model, or what a backend wrapped it into.
    """

    root: torch.nn.Module

    def __post_init__(self) -> None:
        object.__setattr__(self, "_before", self._signature())

    def changed_modules(self) -> list[str]:
        """Return the paths of modules that have other hooks than before, or stand in the place of another."""
        before: dict[str, Any] = self._before  # type: ignore[attr-defined] # set above
        now = self._signature()
        if now == before:
            return []
        return sorted(path or "(model)" for path in {*before, *now} if before.get(path) != now.get(path))

    def _signature(self) -> dict[str, tuple[int, ...]]:
        return {
            path: (id(module), *(len(getattr(module, hooks, None) or ()) for hooks in _HOOKS))
            for path, module in self.root.named_modules()
        }
