"""Scenarios of backups, restores and exports (T5). They work on tables of their own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import botocore.session

from dynamo_chat.cases.stage import Case, Stage
from dynamo_chat.provision.backups import Backups
from dynamo_chat.provision.definition import TableDefinition
from dynamo_chat.store import ChatStore

RECOVERABLE: Final = TableDefinition(deletion_protection=False, encryption_managed=False)
"""A table that can be thrown away, and restored to a moment."""


def table_backups_create(stage: Stage) -> Iterator[Case]:
    store = _table(stage)
    with _forgotten(store):
        yield Case("", store.table.backups.create)


def table_backups_list(stage: Stage) -> Iterator[Case]:
    with _backed_up(stage) as (backups, _):
        yield Case("", backups.list)


def table_backups_describe(stage: Stage) -> Iterator[Case]:
    with _backed_up(stage) as (backups, arn):
        yield Case("", lambda: backups.describe(arn))


def table_backups_restore(stage: Stage) -> Iterator[Case]:
    everything = TableDefinition(
        deletion_protection=False,
        encryption_managed=False,
        stream=True,
        contributor_insights=True,
        tags={"stage": "measured"},
    )
    plain, full = _target(stage), _target(stage)
    with _backed_up(stage) as (backups, arn):
        yield Case("", lambda: backups.restore(arn, plain, definition=RECOVERABLE))
        yield Case("all it can have", lambda: backups.restore(arn, full, definition=everything))


def table_backups_recovery_window(stage: Stage) -> Iterator[Case]:
    yield Case("", _table(stage).table.backups.recovery_window)


def table_backups_restore_to_time(stage: Stage) -> Iterator[Case]:
    backups, target = _table(stage).table.backups, _target(stage)
    yield Case("", lambda: backups.restore_to_time(target, definition=RECOVERABLE))


def table_backups_export(stage: Stage) -> Iterator[Case]:
    store = _table(stage)
    with _bucket(store) as bucket:
        yield Case("", lambda: store.table.backups.export(bucket))


def table_backups_describe_export(stage: Stage) -> Iterator[Case]:
    store = _table(stage)
    with _bucket(store) as bucket:
        arn = store.table.backups.export(bucket).arn
        yield Case("", lambda: store.table.backups.describe_export(arn))


def table_backups_wait_for_export(stage: Stage) -> Iterator[Case]:
    store = _table(stage)
    with _bucket(store) as bucket:
        arn = store.table.backups.export(bucket).arn
        yield Case("", lambda: store.table.backups.wait_for_export(arn))


def _table(stage: Stage) -> ChatStore:
    store = stage.without_table()
    store.table.create(RECOVERABLE)
    return store


def _target(stage: Stage) -> str:
    """The name of a table that is not there; the stage deletes it."""
    return stage.without_table().connection.table_name


@contextmanager
def _backed_up(stage: Stage) -> Iterator[tuple[Backups, str]]:
    store = _table(stage)
    with _forgotten(store):
        yield store.table.backups, store.table.backups.create().arn


@contextmanager
def _forgotten(store: ChatStore) -> Iterator[None]:
    """Delete the backups that were made meanwhile."""
    try:
        yield
    finally:
        for backup in store.table.backups.list():
            store.connection.client.delete_backup(BackupArn=backup.arn)


@contextmanager
def _bucket(store: ChatStore) -> Iterator[str]:
    """A bucket where the table is, emptied and deleted afterwards."""
    connection = store.connection
    client = botocore.session.Session().create_client(
        "s3", region_name=connection.region, endpoint_url=connection.endpoint_url
    )
    name = f"dynamo-chat-{uuid.uuid4().hex}"
    region = client.meta.region_name
    place = {} if region == "us-east-1" else {"LocationConstraint": region}
    client.create_bucket(Bucket=name, **({"CreateBucketConfiguration": place} if place else {}))
    try:
        yield name
    finally:
        for found in client.list_objects_v2(Bucket=name).get("Contents", []):
            client.delete_object(Bucket=name, Key=found["Key"])
        client.delete_bucket(Bucket=name)
