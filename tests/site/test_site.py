"""The built site: what a reader looks for is found, and every link leads somewhere.

``tox -e docs`` builds it, and names its folder in the environment.
"""

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import pytest

import dynamo_chat
from dynamo_chat import aio, entities, testing
from dynamo_chat.catalogue import catalogue, repositories
from generating.api import adapter_names, public_names

SITE = Path(os.environ.get("DYNAMO_CHAT_TEST_SITE", ""))
pytestmark = pytest.mark.skipif(
    "DYNAMO_CHAT_TEST_SITE" not in os.environ, reason="needs the built site: tox -e docs"
)

NO_TEXT = {"atlas.html", "genindex.html", "search.html"}
"""Pages that a script fills: what the atlas shows, its own tests click through."""

QUESTIONS = {
    "page": "guide/messages.html#paging-and-iterating-without-cursors",
    "retry": "guide/messages.html#appending",
    "stream": "guide/streaming.html",
    "limit": "guide/mail-limits-telemetry.html#rate-limits",
    "test": "guide/testing.html",
    "deploy": "guide/provisioning.html#from-pip-install-to-a-production-table",
    "erase": "guide/personal-data.html",
    "add an entity": "guide/own-entities.html",
    "await": "guide/async.html",
    "migrate": "guide/migrating.html",
}


@dataclass
class Read(HTMLParser):
    """What a page has: the ids of its elements, and its links."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    in_text: list[str] = field(default_factory=list)
    """The links of its text, without those of the sidebars."""
    depth: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.depth += tag == "article"
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name in {"href", "src"} and value:
                self.links.append(value)
                if self.depth and tag == "a":
                    self.in_text.append(value)

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag == "article"


@cache
def read(page: Path) -> Read:
    made = Read()
    made.feed(page.read_text("utf-8"))
    return made


def pages() -> Iterator[Path]:
    for page in sorted(SITE.rglob("*.html")):
        if page.name not in NO_TEXT and "_static" not in page.parts:
            yield page


def target(page: Path, link: str) -> tuple[Path, str] | None:
    """The file of the site that a link leads to, with the fragment; None for other sites."""
    if urlparse(link).scheme or link.startswith("//"):
        return None
    address, fragment = urldefrag(link)
    path = (page.parent / unquote(urlparse(address).path)).resolve() if address else page
    return path, unquote(fragment)


def test_every_link_leads_somewhere() -> None:
    broken = [
        f"{page.relative_to(SITE)}: {link}"
        for page in pages()
        for link in read(page).links
        for found in [target(page, link)]
        if found is not None and not leads_somewhere(*found)
    ]
    assert not broken


def leads_somewhere(path: Path, fragment: str) -> bool:
    if not path.is_file():
        return False
    return not fragment or path.suffix != ".html" or fragment in read(path).ids


def test_every_question_is_answered_within_two_clicks() -> None:
    """Through links in the text alone, from the home page."""
    home = SITE.resolve() / "index.html"
    near = reached([home])
    within = near | reached(sorted(path for path, _ in near if path.suffix == ".html"))
    for question, answer in QUESTIONS.items():
        path, _, fragment = answer.partition("#")
        place = SITE.resolve() / path
        assert any(place == at for at, _ in within), question
        assert not fragment or fragment in read(place).ids, question


def reached(places: list[Path]) -> set[tuple[Path, str]]:
    found = (target(page, link) for page in places for link in read(page).in_text)
    return {each for each in found if each is not None and each[0].is_file()}


def inventory() -> Mapping[str, str]:
    """The kind of each object that the site describes, by its full name."""
    raw = (SITE / "objects.inv").read_bytes().split(b"\n", 4)[4]
    lines = zlib.decompress(raw).decode("utf-8").splitlines()
    return {name: kind for name, kind, *_ in (line.split(" ", 2) for line in lines)}


def searched() -> set[str]:
    """The full names that the search knows."""
    text = (SITE / "searchindex.js").read_text("utf-8")
    index = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
    return {
        f"{prefix}.{entry[4]}" if prefix else entry[4]
        for prefix, entries in index["objects"].items()
        for entry in entries
    }


def test_every_public_name_is_found() -> None:
    """Names that programs import, those of the adapters, and the methods of every repository."""
    own = set(public_names(entities)) - set(dynamo_chat.__all__)
    wanted = {
        *(f"dynamo_chat.{name}" for name in dynamo_chat.__all__),
        *(f"dynamo_chat.entities.{name}" for name in own),
        *(f"dynamo_chat.testing.{name}" for name in public_names(testing)),
        *(f"dynamo_chat.aio.{name}" for name in public_names(aio)),
        *adapter_names(),
        *method_names().values(),
    }
    assert len(wanted) > 400
    assert wanted - inventory().keys() == set()
    assert wanted - searched() == set()


def method_names() -> Mapping[str, str]:
    """The full name of each method of the catalogue."""
    kinds = repositories()
    return {
        entry.method: f"{kind.__module__}.{kind.__qualname__}.{entry.method.rpartition('.')[2]}"
        for entry in catalogue()
        for kind in [kinds[entry.repository]]
    }


def test_every_method_has_its_pattern_and_worked_calls() -> None:
    texts = {page.stem: page.read_text("utf-8") for page in SITE.glob("reference/api/*.html")}
    names = method_names()
    for entry in catalogue():
        text = texts[entry.repository.replace(".", "-")]
        _, _, shown = text.partition(f'id="{names[entry.method]}"')
        about = shown.partition('<dt class="sig')[0]
        assert f"<p>{entry.id}: " in about, entry.method
        assert "# → " in about, entry.method


def test_entities_and_errors_are_shown_without_their_machinery() -> None:
    """An entity has its fields below its name; an error its HTTP status."""
    for page in sorted(SITE.glob("reference/api/e*.html")):
        text = page.read_text("utf-8")
        assert "strip_whitespace" not in text, page.name
        assert "object at 0x" not in text, page.name
    errors = (SITE / "reference/api/errors.html").read_text("utf-8")
    assert errors.count("HTTP status") == errors.count('<dl class="py exception">')
