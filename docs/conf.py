"""Settings of the documentation site. ``make docs`` builds it; the words are in the pages beside this file."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from sphinx.application import Sphinx
from transformers.utils.logging import disable_progress_bar

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for the modules beside this file

from gallery_figures import scrape_figures  # noqa: E402
from reference_pages import write_reference  # noqa: E402
from repository_links import RepositoryLinks  # noqa: E402

import tokimp  # noqa: E402

disable_progress_bar()  # type: ignore[no-untyped-call] # what the gallery prints has no place for bars

project = "tokimp"
release = version = tokimp.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_templates", "gallery/*.ipynb"]  # the gallery offers notebooks to download
templates_path = ["_templates"]
html_theme = "furo"
html_title = f"tokimp {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False

# Pages link to headings as they do on a code forge: by the heading's words.
myst_heading_anchors = 4
suppress_warnings = [
    "config.cache",  # the gallery's settings are objects; Sphinx then reads every page anew, which takes seconds
]
# Notebooks of examples/ are kept with their outputs: a test executes them, the site only shows them.
nb_execution_mode = "off"

# A single backtick in a docstring is code, as in Markdown.
default_role = "code"
autosummary_generate = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 80
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

copybutton_prompt_text = "$ "
copybutton_line_continuation_character = "\\"

sphinx_gallery_conf = {
    "examples_dirs": str(HERE.parent / "examples" / "gallery"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py",  # all of them are run
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "show_memory": False,
    "show_signature": False,
    "image_scrapers": (scrape_figures,),
    "remove_config_comments": True,
    "default_thumb_file": str(HERE / "images" / "explorer.png"),
}


def copy_notebooks(folder: Path) -> None:
    """Put the notebooks where Sphinx looks for pages; it looks at nothing outside this folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for notebook in sorted((HERE.parent / "examples" / "notebooks").glob("*.ipynb")):
        shutil.copy2(notebook, folder)


def setup(app: Sphinx) -> None:
    """Write the pages of the reference before Sphinx looks for pages, and let links lead where they do elsewhere."""
    app.connect("config-inited", lambda *_: write_reference(HERE / "reference"))
    app.connect("config-inited", lambda *_: copy_notebooks(HERE / "notebooks"))
    app.add_post_transform(RepositoryLinks)
