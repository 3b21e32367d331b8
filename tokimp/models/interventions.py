"""Whether somebody has changed a model since it was loaded: then every number has to go through the change."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import chain
from operator import itemgetter, methodcaller
from typing import Any, Protocol

import torch

from tokimp.models.callable_digest import describe
from tokimp.models.fingerprint import checksum
from tokimp.models.placement import is_offloaded, weights_fetched

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_hook_tables = itemgetter(*_HOOKS)
_own_forward = methodcaller("get", "forward")


class Editable(Protocol):
    """What keeps changes elsewhere than in modules."""

    def edits(self) -> list[Any]:
        """Return the changes."""

    def describe_edits(self) -> list[Any]:
        """Return what each does."""


class ModelState:
    """What a model was like when it was loaded: its modules, their hooks, their weights and their forward passes.

    Changes in place of the numbers in a weight are not seen here: all copies of the modules share them.

    Parameters
    ----------
    roots
        The outermost modules: a transformers model, and what a backend wrapped it into.
    editable
        Tells the changes that a library keeps elsewhere than in modules: a `tokimp.models.backend.Backend`.
    """

    def __init__(self, roots: Sequence[torch.nn.Module], editable: Editable) -> None:
        self._roots, self._editable = roots, editable
        self._loaded_modules = dict(self._modules())
        self._own = [vars(module) for module in self._loaded_modules.values()]
        self._hooks = [own[table] for own in self._own for table in _HOOKS]
        self._children = [own["_modules"] for own in self._own]
        # Offloaded weights are other tensors in every call.
        fixed = [vars(module) for module in self._loaded_modules.values() if not is_offloaded(module)]
        self._weights = [own["_parameters"] for own in fixed]
        self._loaded = self.signature()
        self._loaded_by_path = self._by_path()

    def signature(self) -> Hashable:
        """Return what is another object whenever something was changed, and equal as long as nothing was.

        This is asked for in every call of the model, so it loops over thousands of modules without Python's help.
        """
        return (
            tuple(chain.from_iterable(self._hooks)),
            tuple(map(id, chain.from_iterable(map(dict.values, self._children)))),
            tuple(map(id, chain.from_iterable(map(dict.values, self._weights)))),
            tuple(map(id, map(_own_forward, self._own))),
            tuple(map(id, self._editable.edits())),
        )

    @property
    def changed(self) -> bool:
        """Whether anything was changed."""
        return self.differs(self.signature())

    def differs(self, signature: Hashable) -> bool:
        """Return whether a signature is that of a model that was changed since it was loaded."""
        return signature != self._loaded

    def changed_modules(self) -> list[str]:
        """Return the paths of modules that have other hooks, weights or code than before, or are others."""
        if not self.changed:
            return []
        before, now = self._loaded_by_path, self._by_path()
        edited = ["(edits)"] if self._editable.edits() else []
        return edited + sorted(path or "(model)" for path in {*before, *now} if before.get(path) != now.get(path))

    def changes(self) -> list[Any]:
        """Return what was changed, in a form that is the same in every process that makes the same changes.

        Functions are described by their code and what they hold (`describe`), not by what they look up elsewhere.
        """
        before, modules = self._loaded_by_path, dict(self._modules())
        now = self._by_path()
        described: list[Any] = list(self._editable.describe_edits())
        for path in sorted({*before, *now}):
            if before.get(path) == now.get(path):
                continue
            module = modules.get(path)
            if module is None:
                described.append([path, "removed"])
                continue
            hooks = [[describe(hook) for hook in vars(module)[table].values()] for table in _HOOKS]
            with weights_fetched(module):
                weights = [
                    [name, list(weight.shape), str(checksum(weight))]
                    for name, weight in module.named_parameters(recurse=False)
                ]
            described.append([path, type(module).__qualname__, hooks, weights, describe(vars(module).get("forward"))])
        return described

    def _modules(self) -> Iterator[tuple[str, torch.nn.Module]]:
        seen: set[int] = set()
        for number, root in enumerate(self._roots):
            for path, module in root.named_modules():
                if id(module) not in seen:
                    seen.add(id(module))
                    yield path if not number else f"(wrapper).{path}".rstrip("."), module

    def _by_path(self) -> dict[str, Hashable]:
        return {
            path: (
                id(module),
                tuple(chain.from_iterable(_hook_tables(vars(module)))),
                () if is_offloaded(module) else tuple(map(id, vars(module)["_parameters"].values())),
                id(vars(module)["forward"]) if "forward" in vars(module) else 0,
            )
            for path, module in self._modules()
        }
