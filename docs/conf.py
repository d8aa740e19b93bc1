"""How Sphinx builds the documentation: ``sphinx-build -W docs docs/_build/html``."""

from importlib.metadata import version as installed_version

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


html_theme = "furo"
html_title = f"dynamo_chat {version}"
