"""Links between pages, as they read in the repository, made to lead to the same places on the site.

Some pages include a file that lies outside ``docs/``, whose links are relative to that file. And some links lead to
what the site does not have, such as a folder: there the path is shown instead.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform

DOCS = Path(__file__).parent
REPOSITORY = DOCS.parent
INCLUDED = {
    "benchmarks": REPOSITORY / "benchmarks" / "README.md",
    "changelog": REPOSITORY / "CHANGELOG.md",
    "contributing": REPOSITORY / "CONTRIBUTING.md",
}
"""The pages that include a file, and the file."""


class RepositoryLinks(SphinxPostTransform):  # type: ignore[misc] # Sphinx is installed by `make docs` alone
    """Gives links of Markdown pages their place on the site; what leads nowhere is left for MyST to warn about."""

    default_priority = 8  # just before MyST resolves them

    def run(self, **kwargs: Any) -> None:
        """Change the links of one page."""
        written_in = INCLUDED.get(self.env.docname, DOCS / f"{self.env.docname}.md")
        for link in list(self.document.findall(addnodes.pending_xref)):
            if link.get("reftype") != "myst":
                continue
            target, _, fragment = str(link["reftarget"]).partition("#")
            if not target or (link.get("refdomain") == "doc" and target in self.env.found_docs):
                continue
            place = Path(os.path.normpath(written_in.parent / target))
            place = place if place.exists() else place.with_name(f"{place.name}.md")
            if page := _page(place):
                link["refdomain"], link["reftarget"] = "doc", page
                link["reftargetid"] = link.get("reftargetid") or fragment or None
            elif place.exists() and place.is_relative_to(REPOSITORY):
                shown = place.relative_to(REPOSITORY).as_posix()
                link.replace_self(nodes.literal(shown, shown))


def _page(place: Path) -> str:
    """Return the page that shows a file, or an empty text."""
    for page, file in INCLUDED.items():
        if place == file:
            return page
    is_page = place.is_file() and place.suffix == ".md" and place.is_relative_to(DOCS)
    return place.relative_to(DOCS).with_suffix("").as_posix() if is_page else ""
