"""How fast old tables are brought in, and the write units of it."""

import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.capacity import SERVER_HOME
from dynamo_chat.core.client import ConnectionOptions
from dynamo_chat.importing.migration.documents import DOCUMENTS
from dynamo_chat.importing.migration.migration import Migration, MigrationOptions
from dynamo_chat.importing.migration.sources import Batch
from dynamo_chat.store import ChatStore
from dynamo_chat.testing import Engine, MinistackServer, RequestMeter
from tooling.old_tables import OldTables, Record, old_tables

METERED = 100
TIMED = 500
WORKERS = 8

Row = dict[str, object]


class Records:
    """Records in memory, as a source."""

    is_complete = True

    def __init__(self, records: list[Record]) -> None:
        self._records = records

    def segments(self, wanted: int) -> list[str]:  # noqa: ARG002 - one is enough
        """One."""
        return ["all"]

    def read(self, segment: str, start: str | None) -> Iterator[Batch]:  # noqa: ARG002
        """All of them."""
        yield Batch(self._records, None)

    def estimate(self) -> int | None:
        """How many there are."""
        return len(self._records)


def measure(endpoint: str | None) -> list[Row]:
    """One row per document: records a second when loading and verifying, and write units.

    Units are computed from the sizes of the items by DynamoDB's rules.
    """
    with ExitStack() as stack:
        if endpoint is None:
            endpoint = stack.enter_context(MinistackServer(cache=SERVER_HOME)).endpoint_url
        engine = stack.enter_context(Engine(endpoint))
        return [_row(engine, document) for document in DOCUMENTS]


def _row(engine: Engine, document: str) -> Row:
    few, many = (old_tables(document, n, datetime.now(UTC)) for n in (METERED, TIMED))
    with _migration(engine, document, few) as moved:
        client = moved._target.store.connection.client  # noqa: SLF001 - as a meter needs it
        moved.read()
        moved.plan()
        with RequestMeter(client) as meter:
            moved.load()
        loaded = sum(table.loaded for table in moved.report().tables)
        units, requests = meter.wcu * 1_000 / loaded, meter.count * 1_000 / loaded
    with _migration(engine, document, many) as moved:
        moved.read()
        moved.plan()
        began = time.perf_counter()
        moved.load()
        written = time.perf_counter()
        loaded = sum(table.loaded for table in moved.report().tables)
        moved.verify()
        verified = time.perf_counter()
    return {
        "document": document,
        "loaded a second": loaded / (written - began),
        "verified a second": loaded / (verified - written),
        "WCU per 1,000 records": round(units),
        "requests per 1,000 records": round(requests),
    }


def _migration(engine: Engine, document: str, old: OldTables) -> Migration:
    table = f"bench-{uuid.uuid4()}"
    options = ConnectionOptions(aws_access_key_id="local", aws_secret_access_key="local")  # noqa: S106

    def store(table_name: str | None = None, **more: Any) -> ChatStore:
        return ChatStore(
            table_name or table,
            region=engine.region,
            endpoint_url=engine.endpoint_url,
            options=options,
            **more,
        )

    store().table.create()
    return Migration(
        document,
        store,
        {name: Records(records) for name, records in old.tables.items()},
        Path(tempfile.mkdtemp(prefix="migration-")),
        options=MigrationOptions(workers=WORKERS),
    )
