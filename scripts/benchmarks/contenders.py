"""One sample, done in several ways: the same data, each in its own form of items."""

import copy
import json
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import botocore.session
from botocore import xform_name
from pynamodb.connection import Connection
from pynamodb.transactions import TransactWrite

from benchmarks import rust
from benchmarks.plain_models import Plain, usual_item
from benchmarks.samples import SAMPLES, TABLE, Recording, compact
from dynamo_chat import ChatStore, ConnectionOptions, Telemetry
from dynamo_chat.core.transport import HttpClient
from dynamo_chat.testing.engine import DEFAULT_REGION

REFERENCE = "raw botocore"
SAME_ITEMS = "raw, same items"
OTEL = "dynamo_chat+otel"
OURS: dict[str, HttpClient] = {"dynamo_chat": "urllib3"}
"""The package with what it depends on and, where they are installed, with its extras."""
if find_spec("pycurl"):
    OURS["dynamo_chat+fast"] = "pycurl"
if find_spec("opentelemetry") and find_spec("opentelemetry.sdk"):
    OURS[OTEL] = "urllib3"
Call = Callable[[], object]


class Contest:
    """One sample: its request and responses with dynamo_chat's items and with conventional ones."""

    def __init__(self, name: str, recording: Recording) -> None:
        self.sample = SAMPLES[name]
        self.operation = self.sample.operation
        self.recording = recording
        self.request = _with_usual_items(recording.request)
        self.answer = _with_usual_items(json.loads(recording.bodies[self.operation]))

    @property
    def usual_bodies(self) -> dict[str, bytes]:
        """The server's responses for contenders that store conventional items."""
        return {self.operation: compact(self.answer)}

    def calls(self, endpoint: str, usual_endpoint: str) -> dict[str, Call]:
        """The calls to compare, by name. The endpoints answer with either form of items."""
        calls = {REFERENCE: self._raw_botocore(self.request, usual_endpoint)}
        if make := PYNAMODB.get(self.operation):
            for name, with_pydantic in {"PynamoDB": False, "PynamoDB+pydantic": True}.items():
                calls[name] = make(self, usual_endpoint, with_pydantic=with_pydantic)
        calls[SAME_ITEMS] = self._raw_botocore(self.recording.request, endpoint)
        rusty = rust.call(self.operation, self.request, self.answer, usual_endpoint)
        if rusty is not None:
            calls[rust.NAME] = rusty
        for name, client in OURS.items():
            telemetry = _recording() if name == OTEL else False
            options = ConnectionOptions(http_client=client, telemetry=telemetry)
            store = ChatStore(TABLE, region=DEFAULT_REGION, endpoint_url=endpoint, options=options)
            calls[name] = self.sample.bind(store, self.recording.known)
        return calls

    def _raw_botocore(self, request: dict[str, Any], endpoint: str) -> Call:
        """Send a prepared request. Returns dicts of AttributeValues."""
        client = botocore.session.Session().create_client(
            "dynamodb", region_name=DEFAULT_REGION, endpoint_url=endpoint
        )
        method = getattr(client, xform_name(self.operation))
        return lambda: method(**request)


def _recording() -> Telemetry:
    """OpenTelemetry's SDK, which makes every span and metric, and sends them nowhere."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

    return Telemetry(TracerProvider(), MeterProvider())


def _with_usual_items(message: dict[str, Any]) -> dict[str, Any]:
    """A request or a response, with each complete item replaced by a conventional one."""
    usual = copy.deepcopy(message)
    if "Item" in usual:
        usual["Item"] = usual_item(usual["Item"])
    if "Items" in usual:
        usual["Items"] = [usual_item(item) for item in usual["Items"]]
    for items in usual.get("Responses", {}).values():
        items[:] = [usual_item(item) for item in items]
    for member in usual.get("TransactItems", []):
        if "Put" in member:
            member["Put"]["Item"] = usual_item(member["Put"]["Item"])
    return usual


def _get(contest: Contest, endpoint: str, *, with_pydantic: bool) -> Call:
    plain = Plain([contest.answer["Item"]], table=TABLE, endpoint=endpoint)
    partition, sort = (contest.request["Key"][name]["S"] for name in ("PK", "SK"))

    def get() -> object:
        return plain.model.get(partition, sort)

    def get_entity() -> object:
        return plain.entity_of(plain.model.get(partition, sort))

    return get_entity if with_pydantic else get


def _put(contest: Contest, endpoint: str, *, with_pydantic: bool) -> Call:
    plain = Plain([contest.request["Item"]], table=TABLE, endpoint=endpoint)
    model, values = plain.model, plain.values
    is_new = model.PK.does_not_exist()

    def put() -> object:
        return model(**values).save(condition=is_new)

    def put_entity() -> object:
        return model(**plain.entity(**values).__dict__).save(condition=is_new)

    return put_entity if with_pydantic else put


def _query(contest: Contest, endpoint: str, *, with_pydantic: bool) -> Call:
    plain = Plain(contest.answer["Items"], table=TABLE, endpoint=endpoint)
    model = plain.model
    partition, lower, upper = (
        contest.request["ExpressionAttributeValues"][name]["S"] for name in (":p", ":l", ":u")
    )
    limit = contest.request["Limit"]

    def query() -> object:
        return list(model.query(partition, model.SK.between(lower, upper), limit=limit))

    def query_entities() -> object:
        found = model.query(partition, model.SK.between(lower, upper), limit=limit)
        return [plain.entity_of(each) for each in found]

    return query_entities if with_pydantic else query


def _transaction(contest: Contest, endpoint: str, *, with_pydantic: bool) -> Call:
    """The same two writes: put the message, set the same attributes of the head."""
    members = contest.request["TransactItems"]
    update = next(member["Update"] for member in members if "Update" in member)
    put = next(member["Put"] for member in members if "Put" in member)
    message = Plain([put["Item"]], table=TABLE, endpoint=endpoint)
    head = Plain([_updated(update)], table=TABLE, endpoint=endpoint)
    connection = Connection(region=DEFAULT_REGION, host=endpoint)
    partition, sort = head.values.pop("PK"), head.values.pop("SK")

    def write(values: dict[str, Any]) -> None:
        with TransactWrite(connection=connection) as transaction:
            transaction.save(message.model(**values), condition=message.model.PK.does_not_exist())
            transaction.update(
                head.model(partition, sort),
                actions=[getattr(head.model, name).set(v) for name, v in head.values.items()],
                condition=head.model.PK.exists(),
            )

    def append() -> None:
        write(message.values)

    def append_entity() -> None:
        write(message.entity(**message.values).__dict__)

    return append_entity if with_pydantic else append


def _updated(update: dict[str, Any]) -> dict[str, Any]:
    """The key and the attributes that an update sets, as an item."""
    names = update["ExpressionAttributeNames"]
    values = update["ExpressionAttributeValues"]
    item: dict[str, Any] = dict(update["Key"])
    for part in update["UpdateExpression"].replace(" ADD ", ", ").split(","):
        words = [word for word in part.replace("=", " ").split() if word[0] in "#:"]
        if len(words) == 2 and words[1] in values:
            item[names[words[0]]] = values[words[1]]
    return item


# There is none for BatchGetItem: its items are of several kinds, and a model is of one.
PYNAMODB: dict[str, Callable[..., Call]] = {
    "GetItem": _get,
    "PutItem": _put,
    "Query": _query,
    "TransactWriteItems": _transaction,
}
