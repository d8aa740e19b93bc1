"""One contender of ``scripts/bench async``, as a process: reads a line, measures, prints a line.

It imports nothing of the benchmarks: aioboto3 and aiodynamo have an environment of their own.
"""

import asyncio
import json
import sys
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import quantiles
from typing import Any

CONCURRENCY = 50
REGION = "eu-west-1"

Do = Callable[[], Awaitable[object]]


@asynccontextmanager
async def dynamo_chat(spec: dict[str, Any]) -> AsyncIterator[Do]:
    """Its own call, with the entities that it returns."""
    from dynamo_chat import ConnectionOptions, NewMessage
    from dynamo_chat.aio import AsyncChatStore

    options = ConnectionOptions(aws_access_key_id="bench", aws_secret_access_key="bench")  # noqa: S106 - of nobody
    known = spec["known"]
    async with AsyncChatStore(
        spec["table"], region=REGION, endpoint_url=spec["url"], options=options
    ) as store:
        if spec["operation"] == "GetItem":
            yield lambda: store.users.get(known["noted"])
        else:
            new = NewMessage(role="user", content=known["content"])
            yield lambda: store.messages.append(known["talk"], new)


@asynccontextmanager
async def aioboto3(spec: dict[str, Any]) -> AsyncIterator[Do]:
    """The bare request; the answer as it came."""
    import aioboto3
    from botocore.config import Config

    session = aioboto3.Session(aws_access_key_id="bench", aws_secret_access_key="bench")  # noqa: S106 - of nobody
    config = Config(max_pool_connections=CONCURRENCY)
    async with session.client(
        "dynamodb", region_name=REGION, endpoint_url=spec["url"], config=config
    ) as client:
        send = client.get_item if spec["operation"] == "GetItem" else client.transact_write_items
        yield lambda: send(**spec["request"])


@asynccontextmanager
async def aiodynamo(spec: dict[str, Any]) -> AsyncIterator[Do]:
    """Its own call of a get; the answer as a dict."""
    import aiohttp
    from aiodynamo.client import URL, Client
    from aiodynamo.credentials import Key, StaticCredentials
    from aiodynamo.http.aiohttp import AIOHTTP

    key = {name: value["S"] for name, value in spec["request"]["Key"].items()}
    async with aiohttp.ClientSession() as session:
        credentials = StaticCredentials(Key("bench", "bench"))
        client = Client(AIOHTTP(session), credentials, REGION, URL(spec["url"]))
        yield lambda: client.get_item(spec["table"], key)


CONTENDERS = {"dynamo_chat": dynamo_chat, "aioboto3": aioboto3, "aiodynamo": aiodynamo}


async def rate(do: Do, seconds: float) -> dict[str, float]:
    """How often `do` is done by 50 tasks: a second, in how many ms 99 of 100, with how much CPU."""
    taken: list[float] = []
    began, used = time.perf_counter(), time.process_time()
    end = began + seconds

    async def worker() -> None:
        while (start := time.perf_counter()) < end:
            await do()
            taken.append(time.perf_counter() - start)

    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    passed, used = time.perf_counter() - began, time.process_time() - used
    return {
        "per_second": len(taken) / passed,
        "p99_ms": quantiles(taken, n=100)[98] * 1_000,
        "cpu_us": used / len(taken) * 1_000_000,
    }


def _with_bytes(found: dict[str, Any]) -> Any:
    """Bytes, which are base64 in the line that says what to measure."""
    return b64decode(found["base64"]) if set(found) == {"base64"} else found


async def main() -> None:
    """Measure once for every line that is read."""
    loop = asyncio.get_running_loop()
    spec = json.loads(sys.stdin.readline(), object_hook=_with_bytes)
    async with CONTENDERS[spec["contender"]](spec) as do:
        await rate(do, 0.3)  # every connection is open, and everything is imported
        print("ready", flush=True)
        while await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps(await rate(do, spec["seconds"])), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
