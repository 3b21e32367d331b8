"""Find out which tokens of a model's reasoning its answer rests on, and whether the methods that say so agree.

A name of the public API loads its module, and the libraries that this needs, when it is first used. The file
``__init__.pyi`` beside this one is the only list of the names.

Examples
--------
>>> import tokimp as ti
>>> scorer = ti.load_scorer("tiny")
>>> result = ti.compare(ti.demo_chains(limit=2), scorer, estimators=["leave_one_out", "position"])
>>> result = ti.analyze(result, "agreement")
>>> ti.chain_table(result, str(result["chain_id"].values[0])).columns[:2].tolist()
['token_text', 'unit']
"""

import sys
from types import ModuleType

import lazy_loader

# The function `compare` has the name of its room, the package `tokimp.compare`. `attach_stub` sees to it that importing
# something from the room does not put the package in the place of the function.
_load, _, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]


def __getattr__(name: str) -> object:
    """Return a name of the public API, after loading the module that defines it."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - as slow to import as all the rest of this module

        return version("tokimp")
    loaded = _load(name)
    if "xarray" in sys.modules:
        # Whoever can have a result by now gets `result.tokimp`. Nothing else of the API needs xarray.
        from tokimp.report import accessor  # noqa: F401, PLC0415 - importing it registers it
    return loaded


def __dir__() -> list[str]:
    """Return the names of the public API."""
    return sorted(__all__)


class _PublicName:
    """A name of the public API, which a module of this class has before those that every object has.

    `__getattr__` is asked last. Where a library gives every object a method, as nnsight does with ``save``, a name that
    was not used before would be that method of the module.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, module: ModuleType, kind: type[ModuleType]) -> object:
        """Load what the name stands for; once the module has it, this is no longer called."""
        return __getattr__(self._name)


# The class that `attach_stub` gave this module is kept as the base.
_package = sys.modules[__name__]
_package.__class__ = type("_Package", (type(_package),), {name: _PublicName(name) for name in __all__})
