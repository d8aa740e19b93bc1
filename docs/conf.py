"""How Sphinx builds the documentation: ``sphinx-build -W docs docs/_build/html``."""

from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

project = "dynamo_chat"
author = "the dynamo_chat authors"
copyright = f"2026, {author}"
version = release = installed_version("dynamo_chat")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
]
exclude_patterns = ["_build"]
nitpicky = False  # signatures name types of libraries that publish no inventory

# Markdown with definition lists, fenced directives and links to headings.
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"


ATLAS = "atlas.html"
"""The page beside the home page that both link to."""


def setup(app: Any) -> None:
    """Draw the atlas when the pages are written."""
    app.connect("build-finished", write_atlas)


def write_atlas(app: Any, exception: Exception | None) -> None:
    """Write the atlas beside the pages; it takes about half a minute."""
    if exception is not None or app.builder.format != "html":
        return
    from dynamo_chat.operations.atlas.collecting import collect_embedded
    from dynamo_chat.operations.atlas.page import page

    Path(app.outdir, ATLAS).write_text(page(collect_embedded()), encoding="utf-8")


html_theme = "furo"
html_title = f"dynamo_chat {version}"
