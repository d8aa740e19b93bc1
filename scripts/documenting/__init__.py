"""What this documentation adds to Sphinx's autodoc.

- A repository's method has its access pattern, requests, owner and errors, and its worked calls
  (`dynamo_chat.cases`): each is run while the documentation is built, with what it cost.
- An entity has its fields and its own properties, and not what it is stored with.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from documenting import autodoc
from dynamo_chat import integrations


def setup(app: Any) -> dict[str, bool]:
    """Connect the handlers to Sphinx."""
    for module in iter_modules(integrations.__path__, f"{integrations.__name__}."):
        import_module(module.name)  # autodoc's way of importing breaks the checks of their stores
    app.connect("autodoc-process-docstring", autodoc.complete)
    app.connect("autodoc-process-signature", autodoc.sign)
    app.connect("autodoc-skip-member", autodoc.skip)
    return {"parallel_read_safe": False}
