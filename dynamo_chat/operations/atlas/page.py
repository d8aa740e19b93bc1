"""The atlas as one HTML page, with its style, script and data inside: it loads nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import asdict
from importlib.resources import files
from typing import Any, Final

from dynamo_chat.operations.atlas.shown import Atlas

_MARK: Final = re.compile(r"\{\{(\w+)\}\}")


def page(atlas: Atlas) -> str:
    """The page. Nothing in the data can end or extend the script, whatever it is.

    The page's own policy lets the browser run this script only, and load nothing.
    """
    style, script = _file("page.css"), _file("page.js")
    parts = {
        "style": style,
        "script": script,
        "data": _json(asdict(atlas)),
        "style_hash": _hash(style),
        "script_hash": _hash(script),
    }
    return _MARK.sub(lambda found: parts[found[1]], _file("page.html"))


def _json(value: Any) -> str:
    # JSON has `<` only inside texts. Without it, no text ends the element, or opens a comment.
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _file(name: str) -> str:
    return (files("dynamo_chat.operations.atlas") / name).read_text("utf-8")
