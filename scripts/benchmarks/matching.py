"""Matching under contention, and how spreading a queue over shards changes its order."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from statistics import mean
from time import perf_counter
from uuid import uuid4

from benchmarks.capacity import SERVER_HOME
from dynamo_chat import CallQueue, ChatStore, Contended, RequestEvent
from dynamo_chat.testing import Engine, MinistackServer

Row = dict[str, object]
WAITING = 400
MATCHERS = (1, 4, 16)
POLICIES: dict[str, Callable[[int], int | None]] = {
    "all take the oldest pair": lambda _: 1,
    "by lot, number given": lambda matchers: matchers,
    "by lot, number learnt": lambda _: None,
}
SHARDS = (1, 2, 4, 8)
SPREAD = 4
LINE = 200
ROUNDS = 150


def contention(endpoint: str | None) -> list[Row]:
    """One row per policy and number of matchers that empty a queue of 400 together.

    The last one of each number of matchers is of a queue over 4 shards.
    """
    with _engine(endpoint) as engine:
        rows: list[Row] = []
        for matchers in MATCHERS:
            for name, given in POLICIES.items():
                if matchers > 1 or name != "by lot, number given":
                    row: Row = {"matchers": matchers, "policy": name, "shards": 1}
                    rows.append(row | _race(engine, CallQueue("race"), matchers, given(matchers)))
            spread = CallQueue("race", shards=SPREAD)
            row = {"matchers": matchers, "policy": "by lot, number learnt", "shards": SPREAD}
            rows.append(row | _race(engine, spread, matchers, None))
        return rows


def fairness(endpoint: str | None) -> list[Row]:
    """One row per number of shards: how many longer waiting callers a matched caller overtook.

    A queue of 200 is kept at its length through 150 matches by one matcher: whoever is matched
    is followed by two who join.
    """
    with _engine(endpoint) as engine:
        return [_overtaking(engine, shards) for shards in SHARDS]


@contextmanager
def _engine(endpoint: str | None) -> Iterator[Engine]:
    with ExitStack() as stack:
        if endpoint is None:
            endpoint = stack.enter_context(MinistackServer(cache=SERVER_HOME)).endpoint_url
        yield stack.enter_context(Engine(endpoint))


@contextmanager
def _queue(
    engine: Engine, events: list[RequestEvent], queue: CallQueue, waiting: int
) -> Iterator[ChatStore]:
    """A store with this many callers in the queue."""
    store = engine.store(f"matching-{uuid4().hex[:8]}", on_request=events.append)
    try:
        for number in range(waiting):
            _joined(store, queue, number)
        events.clear()
        yield store
    finally:
        store.connection.client.delete_table(TableName=store.connection.table_name)


def _joined(store: ChatStore, queue: CallQueue, number: int) -> str:
    user_id = store.callers.create(f"user-{number}").user_id
    return store.queue.join(user_id, queue).user_id


def _race(engine: Engine, queue: CallQueue, matchers: int, given: int | None) -> Row:
    events: list[RequestEvent] = []
    with _queue(engine, events, queue, WAITING) as store:
        gave_up = []

        def work(_: int) -> int:
            made = 0
            while True:
                try:
                    if store.queue.match(queue, matchers=given) is None:
                        return made
                    made += 1
                except Contended as error:
                    gave_up.append(error)

        started = perf_counter()
        with ThreadPoolExecutor(matchers) as pool:
            made = sum(pool.map(work, range(matchers)))
        seconds = perf_counter() - started
    count = Counter(event.error is None for event in events)
    return {
        "matches": made,
        "requests/match": sum(count.values()) / made,
        "races lost/match": count[False] / made,
        "gave up": len(gave_up),
        "matches/s": made / seconds,
    }


def _overtaking(engine: Engine, shards: int) -> Row:
    queue = CallQueue("line", shards=shards)
    events: list[RequestEvent] = []
    with _queue(engine, events, queue, LINE) as store:
        line = [f"user-{number}" for number in range(LINE)]
        overtaken: list[int] = []
        requests, joined = 0, LINE
        for _ in range(ROUNDS):
            events.clear()
            call = store.queue.match(queue)
            requests += len(events)
            if call is None:
                raise RuntimeError("queue was empty")
            for user_id in (call.user_a, call.user_b):
                overtaken.append(line.index(user_id))
                line.remove(user_id)
            for _ in range(2):
                joined += 1
                line.append(_joined(store, queue, joined))
    overtaken.sort()
    return {
        "shards": shards,
        "requests/match": requests / ROUNDS,
        "overtaken, mean": mean(overtaken),
        "95%": overtaken[int(0.95 * len(overtaken))],
        "worst": overtaken[-1],
        "callers/s at most": 250 * shards,
    }
