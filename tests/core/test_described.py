"""Models, pages and items work where pydantic's own models do."""

import inspect
import json
import pydoc
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any, get_type_hints

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

import dynamo_chat
from dynamo_chat import ChatStore, Conversation, Items, Message, NewMessage, Page, User
from dynamo_chat.core.entity import Model
from dynamo_chat.core.patterns import declared_pattern
from dynamo_chat.core.shown import repository_property
from dynamo_chat.testing import Engine
from tests.scene import Scene

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
ANN = User(user_id="ann", email="ann@example.com", created_at=NOW, updated_at=NOW)
MODELS = sorted(
    (
        each
        for each in (getattr(dynamo_chat, name) for name in dynamo_chat.__all__)
        if isinstance(each, type) and issubclass(each, BaseModel)
    ),
    key=lambda each: each.__name__,
)


@pytest.mark.parametrize("model", MODELS)
def test_a_model_has_the_signature_of_its_fields(model: type[BaseModel]) -> None:
    signature = inspect.signature(model)
    assert set(signature.parameters) == set(model.model_fields)
    for name, parameter in signature.parameters.items():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        is_required = parameter.default is inspect.Parameter.empty
        assert is_required == model.model_fields[name].is_required()
    assert signature == inspect.signature(model)


def test_the_signature_is_there_before_the_first_use_and_not_that_of_a_parent() -> None:
    """In a process that has built no model."""
    program = (
        "import inspect; from dynamo_chat import EmailMessage, EmailSummary;"
        "inspect.signature(EmailSummary);"
        "print('response_content' in inspect.signature(EmailMessage).parameters,"
        " 'body' in inspect.signature(EmailMessage).parameters,"
        " 'body' in inspect.signature(EmailSummary).parameters)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.split()[1:] == [b"True", b"False"]


@pytest.mark.parametrize("mode", ["validation", "serialization"])
@pytest.mark.parametrize("model", MODELS)
def test_a_model_has_a_json_schema_with_the_texts_below_its_fields(
    model: type[BaseModel], mode: Any
) -> None:
    schema = model.model_json_schema(mode=mode)
    assert set(schema["properties"]) == set(model.model_fields)
    source = "".join(
        inspect.getsource(each)
        for each in model.__mro__
        if issubclass(each, Model) and each is not Model
    )
    for name, field in schema["properties"].items():
        text = field.get("description")
        assert text is None or text.split()[0] in source, name


def test_a_described_field_has_its_text() -> None:
    fields = Conversation.model_json_schema()["properties"]
    assert fields["user_id"]["description"].startswith("The owner: a user's id;")
    assert "description" not in fields["created_at"] or fields["created_at"]["description"]
    inherited = Message.model_json_schema()["properties"]
    new = NewMessage.model_json_schema()["properties"]
    described = {n for n in inherited if "description" in inherited[n]}
    both = described & set(new) - set(Message.__annotations__)  # which have texts of their own
    assert both
    assert all(inherited[name]["description"] == new[name]["description"] for name in both)


def test_making_a_class_reads_no_source() -> None:
    """Nor does storing an entity: the texts are for tools."""
    program = (
        "import inspect\n"
        "def refused(*_): raise SystemExit('a source was read')\n"
        "inspect.getsource = refused\n"
        "from dynamo_chat import ChatStore, NewMessage, User\n"
        "NewMessage(role='user', content='Hi')\n"
        "ChatStore('chat', region='eu-west-1').messages\n"
        "try: User.model_json_schema()\n"
        "except SystemExit as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"a source was read"


@pytest.mark.parametrize("cursor", [None, "abc"])
def test_a_page_goes_to_json_and_back(cursor: str | None) -> None:
    adapter = TypeAdapter(Page[User])
    page = Page((ANN,), cursor)
    text = adapter.dump_json(page)
    assert set(json.loads(text)) == {"items", "cursor"}
    assert adapter.validate_json(text) == page
    assert adapter.validate_python(page) is page
    for mode in ("validation", "serialization"):
        schema = adapter.json_schema(mode=mode)
        assert schema["properties"]["items"]["items"]["$ref"].endswith("User")
        assert "cursor" in schema["properties"]


def test_items_go_to_json_and_back() -> None:
    adapter = TypeAdapter(Items[User])
    items = Items.of([ANN])
    text = adapter.dump_json(items)
    assert isinstance(json.loads(text), list)
    assert adapter.validate_json(text) == items
    assert type(adapter.validate_json(text)) is Items
    assert adapter.validate_python(items) is items
    assert type(adapter.validate_python([ANN])) is Items
    assert adapter.json_schema(mode="serialization")["type"] == "array"


@pytest.mark.parametrize(
    "wrong", [Page(("ann",)), Items.of([5]), {"items": [5]}, {"cursor": "a"}, None, "items"]
)
def test_a_page_of_something_else_is_refused(wrong: Any) -> None:
    for kind in (Page[User], Items[User]):
        with pytest.raises(ValidationError):
            TypeAdapter(kind).validate_python(wrong)


def test_a_page_in_a_model_of_the_application() -> None:
    class Sidebar(BaseModel):
        title: str
        talks: Page[User]

    bar = Sidebar(title="All", talks=Page((ANN,), "next"))
    assert Sidebar.model_validate_json(bar.model_dump_json()) == bar
    assert get_type_hints(Sidebar)["talks"].__args__ == (User,)


@pytest.mark.engine
def test_a_web_framework_answers_with_what_the_store_returns(dynamo_chat_engine: Engine) -> None:
    """As FastAPI's response type, by the annotation alone, and in its OpenAPI document."""
    fastapi = pytest.importorskip("fastapi")
    testclient = pytest.importorskip("starlette.testclient")
    with Scene(dynamo_chat_engine) as scene:
        store: ChatStore = scene.store
        app = fastapi.FastAPI()

        def talks(user_id: str, cursor: str | None = None) -> Page[Conversation]:
            return store.conversations.list_by_user(user_id, page_size=2, cursor=cursor)

        def latest(conversation_id: str) -> Items[Message]:
            return store.messages.latest(conversation_id, 5)

        app.get("/talks/{user_id}")(talks)
        app.get("/messages/{conversation_id}")(latest)
        made = [store.conversations.create("ann") for _ in range(3)]
        store.messages.append(made[0].conversation_id, NewMessage(role="user", content="Hi"))
        client = testclient.TestClient(app)
        first = client.get("/talks/ann").json()
        second = client.get("/talks/ann", params={"cursor": first["cursor"]}).json()
        assert len(first["items"]) + len(second["items"]) == 3
        assert second["cursor"] is None
        (message,) = client.get(f"/messages/{made[0].conversation_id}").json()
        assert message["content"] == "Hi"
        schemas = client.get("/openapi.json").json()["components"]["schemas"]
        assert schemas["Conversation"]["properties"]["user_id"]["description"].startswith(
            "The owner"
        )


REPOSITORIES = sorted(
    name for name, member in vars(ChatStore).items() if isinstance(member, repository_property)
)


@pytest.mark.parametrize("name", REPOSITORIES)
def test_help_shows_the_methods_of_a_repository(name: str) -> None:
    """By the class, before any store is made."""
    member = vars(ChatStore)[name]
    shown = pydoc.plain(pydoc.render_doc(getattr(ChatStore, name)))
    assert f"<ChatStore.{name}: " in shown
    repository = getattr(ChatStore("chat", region="eu-west-1"), name)
    assert member.func.__doc__ in shown
    methods = [
        each for each, value in inspect.getmembers(type(repository)) if declared_pattern(value)
    ]
    assert methods or name == "table"
    for method in methods:
        assert f"{method}(" in shown
        declared = declared_pattern(getattr(repository, method))
        assert declared is not None
        assert declared.description in shown


def test_help_names_arguments_and_first_sentences() -> None:
    assert len(REPOSITORIES) >= 20
    shown = inspect.getdoc(ChatStore.rate_limits) or ""
    assert "refund(counted: RateLimit, function: str, amount: int) -> RateLimit" in shown
    assert "Take back calls that were counted but not made" in shown
    assert "_updated" not in shown
