"""The tutorial's service, on the scene's table, answers as the pages say."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from tests.scene import Scene
from tests.tutorial import PAGE, written

# FastAPI itself makes fields in a way that pydantic warns of.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pydantic.warnings.UnsupportedFieldAttributeWarning"
)

ME, YOU = {"x-user": "u-1"}, {"x-user": "u-2"}


Talk = Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]


@pytest.fixture
def serve(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Callable[[Talk], None]:
    """Runs the program for as long as somebody talks to it."""
    monkeypatch.setenv("DYNAMODB_TABLE_NAME", scene.table)
    monkeypatch.setenv("AWS_REGION", scene.engine.region)
    if scene.engine.endpoint_url is not None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", scene.engine.endpoint_url)
    names: dict[str, Any] = {"__name__": "service"}
    exec(compile(written()["service.py"], PAGE, "exec"), names)  # noqa: S102 - the page is ours
    app = names["app"]

    async def run(talk: Talk) -> None:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://service") as client,
        ):
            await talk(client)

    return lambda talk: asyncio.run(run(talk))


def test_a_conversation(serve: Callable[[Talk], None]) -> None:
    """Created, written to, and read in two pages by the cursor in the URL."""

    async def talk(client: httpx.AsyncClient) -> None:
        created = await client.post("/conversations", headers=ME)
        url = f"/conversations/{created.json()['conversation_id']}/messages"
        for number in range(25):
            new = {"role": "user", "content": str(number)}
            assert (await client.post(url, json=new, headers=ME)).status_code == 201
        first = (await client.get(url, headers=ME)).json()
        second = (await client.get(url, params={"cursor": first["cursor"]}, headers=ME)).json()
        contents = [each["content"] for each in first["items"] + second["items"]]
        assert sorted(contents, key=int) == [str(number) for number in range(25)]
        assert second["cursor"] is None

    serve(talk)


def test_errors_are_status_codes(serve: Callable[[Talk], None]) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        created = await client.post("/conversations", headers=ME)
        url = f"/conversations/{created.json()['conversation_id']}/messages"

        async def status(method: str, url: str, headers: dict[str, str], **more: Any) -> int:
            return (await client.request(method, url, headers=headers, **more)).status_code

        assert await status("GET", url, YOU) == 404
        assert await status("GET", "/conversations/none/messages", ME) == 404
        assert await status("GET", url, ME, params={"cursor": "altered"}) == 400
        new = {"role": "user", "content": "once", "message_id": "m-1"}
        assert await status("POST", url, ME, json=new) == 201
        assert await status("POST", url, ME, json={**new, "content": "twice"}) == 409

    serve(talk)
