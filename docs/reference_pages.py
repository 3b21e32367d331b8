"""Write the reference's pages: every public name, and every plugin that comes with tokimp.

The pages name what is to be described; autosummary and numpydoc fill them from the docstrings.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
from pathlib import Path
from typing import get_args

from generate import public_names, summary

import tokimp
from tokimp.contracts.discovery import plugins
from tokimp.contracts.kinds import Kind

OTHERS = {
    "Figures": ("tokimp.plot", "Used as ``ti.plot.agreement(result)``."),
    "Checks and toys for the tests of plugins": ("tokimp.testing", "Imported from ``tokimp.testing``."),
}
"""What has a page beside the groups of ``tokimp`` itself: a module, and how its names are reached."""
RESULT_METHODS = "tokimp.report.accessor.ResultAccessor"
ABOUT_PLUGINS = """Name a plugin by its heading, on the command line and in Python, with parameters behind a colon:
``attention:query=last``. ``tokimp plugins NAME`` prints the same, also for plugins of other packages.
"""


def write_reference(folder: Path) -> None:
    """Write the pages into a folder; a page that has not changed is left as it is, so that Sphinx need not read it."""
    folder.mkdir(exist_ok=True)
    names = {_file_name(group): _group_page(group, listed) for group, listed in public_names().items()}
    others = {_file_name(title): _module_page(title, *reached) for title, reached in OTHERS.items()}
    others["result-methods"] = _methods_page()
    kinds: tuple[Kind, ...] = get_args(Kind)
    kinds_of_plugins = {f"plugins-{kind}": _plugin_page(kind) for kind in kinds}
    pages = {"index": _index([*names, *others], list(kinds_of_plugins)), **names, **others, **kinds_of_plugins}
    listed = set(re.findall(r"^   (tokimp\.\S+)$", "\n".join(pages.values()), flags=re.MULTILINE))
    for outdated in [*folder.glob("*.rst"), *folder.glob("names/*.rst")]:
        if outdated.stem not in (listed if outdated.parent.name == "names" else pages):
            outdated.unlink()
    for page, text in pages.items():
        path = folder / f"{page}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _index(names: list[str], kinds: list[str]) -> str:
    return "\n".join(
        [
            _heading("The Python interface", "="),
            "What is here is imported as ``import tokimp as ti``, unless its page says otherwise.",
            "The page :doc:`../api` has one line for each name.\n",
            _contents(names),
            _heading("Plugins that come with tokimp", "-"),
            _contents(kinds),
        ]
    )


def _group_page(group: str, names: list[str]) -> str:
    public = {name: getattr(tokimp, name) for name in names}
    described = [name for name in names if _has_signature(public[name])]
    others = [name for name in names if name not in described and not inspect.ismodule(public[name])]
    constants = [f"``tokimp.{name}``\n   {summary(name)}\n" for name in others]
    return "\n".join([_heading(group, "="), _summaries([f"tokimp.{name}" for name in described]), *constants])


def _module_page(title: str, module: str, reached: str) -> str:
    owner = pkgutil.resolve_name(
        module
    )  # `tokimp.plot` is another name of `tokimp.report.plot`, which autodoc can import
    names = [f"{owner.__name__}.{name}" for name in owner.__all__]
    return "\n".join([_heading(title, "="), f"{reached}\n", _summaries(names)])


def _methods_page() -> str:
    about = "A result has these once tokimp is imported: ``result.tokimp.table()``.\n"
    return "\n".join([_heading("Methods of a result", "="), about, f".. autoclass:: {RESULT_METHODS}\n   :members:\n"])


def _plugin_page(kind: Kind) -> str:
    parts = [_heading(kind.capitalize(), "="), ABOUT_PLUGINS]
    for plugin in plugins(kind):
        if plugin.package != "tokimp":
            continue
        if plugin.error:
            raise ValueError(f"the {kind} have no page, because {plugin.name!r} does not load: {plugin.error}")
        parts.append(_heading(plugin.name, "-"))
        parts.append(f".. autoclass:: {plugin.target.replace(':', '.')}\n   :no-index:\n")
    return "\n".join(parts)


def _has_signature(public: object) -> bool:
    return inspect.isclass(public) or inspect.isfunction(public)


def _summaries(names: list[str]) -> str:
    listed = "".join(f"   {name}\n" for name in names)
    return f".. autosummary::\n   :toctree: names\n   :nosignatures:\n\n{listed}" if names else ""


def _contents(pages: list[str]) -> str:
    return ".. toctree::\n   :maxdepth: 1\n\n" + "".join(f"   {page}\n" for page in pages)


def _heading(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n"


def _file_name(text: str) -> str:
    return re.sub(r"\W+", "-", text.lower())
