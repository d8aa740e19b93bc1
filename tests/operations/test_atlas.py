"""The atlas shows what the calls did, says it truly, and is one page that loads nothing."""

import json
import re
import runpy
from collections.abc import Iterator
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from documenting import worked_calls
from dynamo_chat import ChatStore, InvalidArgument, NewMessage
from dynamo_chat.cases.playing import measure_all
from dynamo_chat.catalogue import catalogue
from dynamo_chat.core.layout import PLACES
from dynamo_chat.keyspace import KEY_SPACE
from dynamo_chat.operations.atlas import collecting
from dynamo_chat.operations.atlas.collecting import MOST_ITEMS, collect, collect_embedded
from dynamo_chat.operations.atlas.page import page
from dynamo_chat.operations.atlas.shown import Atlas, Item, Pattern
from dynamo_chat.store import StoreFactory
from dynamo_chat.testing import EmbeddedEngine
from tests.entities.test_store import ShopStore
from tests.scene import Scene

DOCS = Path(__file__).parents[2] / "docs"
HOSTILE = "</script><script>alert(1)</script><!-- ]]> {{data}} \u2028\x00\ud800"


def pattern(atlas: Atlas, method: str) -> Pattern:
    return next(each for each in atlas.patterns if each.method == method)


def collected(factory: StoreFactory, *methods: str, **options: Any) -> Atlas:
    entries = [entry for entry in catalogue() if entry.method in methods]
    return collect(factory, entries=entries, **options)


class _Scripts(HTMLParser):
    """The text of each script, and what the page would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.loads: list[str] = []
        self._is_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_script = tag == "script"
        if self._is_script:
            self.scripts.append("")
        self.loads += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_endtag(self, tag: str) -> None:
        self._is_script = self._is_script and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._is_script:
            self.scripts[-1] += data


# -- what is shown ------------------------------------------------------------------------------


def test_a_call_is_shown_request_by_request(factory: StoreFactory) -> None:
    """What it touches, in order, and what it costs."""
    atlas = collected(factory, "reviews.create", "messages.list")
    played = pattern(atlas, "reviews.create").cases[0]
    (step,) = played.steps
    touched = [(how, atlas.items[number].kind) for how, number in step.touched]
    assert touched == [("checked", "conversation"), ("created", "review"), ("created", "review_id")]
    assert (step.operation, step.place, step.error) == ("TransactWriteItems", "table", "")
    assert sum(step.wcu.values()) == played.wcu > 0
    listed = pattern(atlas, "messages.list").cases[0].steps[-1]
    assert listed.asked.startswith('PK = "CONV#')
    assert len(listed.touched) == MOST_ITEMS
    assert listed.more > 0


def test_an_atlas_costs_what_is_measured(factory: StoreFactory) -> None:
    entries = [entry for entry in catalogue() if entry.repository in {"reviews", "states"}]
    atlas = collect(factory, entries=entries)
    for shown, measured in zip(atlas.patterns, measure_all(factory, entries), strict=True):
        assert [(each.label, each.requests, each.wcu, each.rcu) for each in shown.cases] == [
            (each.case.label, each.taken.requests, each.taken.wcu, each.taken.rcu)
            for each in measured.cases
        ]


def test_the_table_is_left_as_it_was(factory: StoreFactory, scene: Scene) -> None:
    collected(factory, "conversations.rename", "reviews.create")
    client = scene.client
    assert client.scan(TableName=scene.table)["Items"] == []


def test_loaded_items_are_shown_beside_those_of_the_cases(
    factory: StoreFactory, scene: Scene
) -> None:
    talk = scene.store.conversations.create("u-1", title="Renders")
    scene.store.messages.append(talk.conversation_id, NewMessage(role="user", content="hello"))
    found = scene.client.scan(TableName=scene.table)["Items"]
    atlas = collected(factory, "conversations.get", items=found)
    loaded = [atlas.items[number] for number in atlas.loaded]
    assert {item.kind for item in loaded} >= {"conversation", "message"}
    head = next(item for item in loaded if item.kind == "conversation")
    assert "Renders" in head.what
    assert [key is not None for key in head.keys] == [True] * len(PLACES)


def test_every_kind_is_shown_with_its_keys(factory: StoreFactory) -> None:
    atlas = collected(factory, "conversations.get")
    assert [kind.kind for kind in atlas.kinds] == [layout.kind for layout in KEY_SPACE]
    shown = next(kind for kind in atlas.kinds if kind.kind == "message")
    assert shown.keys[0] == ("CONV#<conversation_id>", "CHAT#<position>")
    assert shown.of == "conversation"
    assert dict(shown.fields)["feedback"] == "Feedback | None"


# -- an application's store ---------------------------------------------------------------------


class _Failing(ShopStore):
    """Has a worked call for its own method, which fails."""

    cases: ClassVar[tuple[str, ...]] = (__name__,)


def orders_paid(stage: Any) -> Iterator[Any]:
    """The worked call of `_Failing`."""
    raise RuntimeError("not ready")
    yield stage


def _of(kind: type[ChatStore], scene: Scene) -> StoreFactory:
    def make(table_name: str | None = None, **options: Any) -> ChatStore:
        return kind(table_name or scene.table, region=scene.engine.region, **options)

    return make


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (ShopStore, "It has no worked call."),
        (_Failing, "Its worked call failed: RuntimeError"),
    ],
)
def test_an_applications_kinds_are_shown_whether_or_not_their_cases_can_be_played(
    kind: type[ChatStore], why: str, scene: Scene
) -> None:
    wanted = {"orders.paid", "conversations.get"}
    entries = [entry for entry in catalogue(kind) if entry.method in wanted]
    atlas = collect(_of(kind, scene), entries=entries)
    assert atlas.store == kind.__name__
    assert (atlas.kinds[-1].kind, atlas.kinds[-1].domain) == ("order", "application")
    assert pattern(atlas, "orders.paid").unplayed == why
    assert pattern(atlas, "conversations.get").cases
    assert page(atlas)


def test_cases_that_cannot_be_imported_are_named(scene: Scene) -> None:
    class Lost(ShopStore):
        cases: ClassVar[tuple[str, ...]] = ("nowhere_at_all",)

    with pytest.raises(InvalidArgument, match="store: its cases can't be imported"):
        collect(_of(Lost, scene))


def test_a_failing_case_of_the_package_is_an_error(
    factory: StoreFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be a bug, which no page should hide."""
    failing = {"conversations.get": orders_paid}
    monkeypatch.setattr(collecting, "_scenarios", lambda _: failing)
    with pytest.raises(RuntimeError, match="not ready"):
        collected(factory, "conversations.get")


def test_without_the_engine_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(*_: Any) -> None:
        raise ModuleNotFoundError("moto")

    monkeypatch.setattr(EmbeddedEngine, "__enter__", missing)
    with pytest.raises(InvalidArgument, match="pip install"):
        collect_embedded()


# -- the page -----------------------------------------------------------------------------------


def _hostile() -> Atlas:
    item = Item(HOSTILE, ((HOSTILE, HOSTILE), None, None), 1, HOSTILE)
    return Atlas(store=HOSTILE, version="", kinds=(), patterns=(), items=(item,), loaded=(0,))


def test_texts_of_others_stay_data() -> None:
    """Nothing in them ends a script, and they are read back as they were."""
    text = page(_hostile())
    assert text.encode()
    scripts = _Scripts(text).scripts
    assert len(scripts) == 2
    assert json.loads(scripts[0]) == json.loads(json.dumps(asdict(_hostile())))
    assert "alert(1)" not in scripts[1]


def test_the_page_loads_nothing_and_runs_no_other_script() -> None:
    text = page(replace(_hostile(), store="ChatStore"))
    assert all(each.startswith("#") or each == "data:," for each in _Scripts(text).loads)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy[1]
    assert "innerHTML" not in text


def test_the_documentation_has_the_page_where_it_links_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = runpy.run_path(str(DOCS / "conf.py"))
    made = worked_calls.Measured(_hostile(), {})
    monkeypatch.setattr(worked_calls, "measured", lambda: made)
    built = SimpleNamespace(outdir=tmp_path, builder=SimpleNamespace(format="html"))
    conf["write_atlas"](built, RuntimeError("the pages could not be built"))
    assert not list(tmp_path.iterdir())
    conf["write_atlas"](built, None)
    assert (tmp_path / conf["ATLAS"]).read_text("utf-8") == page(_hostile())
    assert f'href="{conf["ATLAS"]}"' in (DOCS / "index.md").read_text("utf-8")
    assert f'href="../{conf["ATLAS"]}"' in (DOCS / "reference" / "key-space.md").read_text("utf-8")
