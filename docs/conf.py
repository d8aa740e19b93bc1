"""How Sphinx builds the documentation: ``sphinx-build -W docs docs/_build/html``."""

import logging
import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))  # for `documenting`

project = "dynamo_chat"
author = "the dynamo_chat authors"
copyright = f"2026, {author}"
version = release = installed_version("dynamo_chat")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "documenting",
]
exclude_patterns = ["_build"]
nitpicky = False  # signatures name types of libraries that publish no inventory

# Markdown with definition lists, fenced directives and links to headings.
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
add_module_names = False
default_role = "py:obj"  # docstrings mark names of code with single backticks
suppress_warnings = ["ref.python"]  # such a name may be an attribute of several classes
html_theme = "furo"
html_title = f"dynamo_chat {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]

ATLAS = "atlas.html"
"""The page beside the home page that both link to."""


def setup(app: Any) -> None:
    """Draw the atlas when the pages are written."""
    for library in ("botocore", "pynamodb"):  # Sphinx shows what they say to nobody
        logging.getLogger(library).setLevel(logging.WARNING)
    app.connect("build-finished", write_atlas)


def write_atlas(app: Any, exception: Exception | None) -> None:
    """Write the atlas beside the pages, of the calls that these show."""
    if exception is not None or app.builder.format != "html":
        return
    from documenting import worked_calls
    from dynamo_chat.operations.atlas.page import page

    Path(app.outdir, ATLAS).write_text(page(worked_calls.measured().atlas), encoding="utf-8")
