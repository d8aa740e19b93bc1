"""Contributor insights: DynamoDB's report of the most used keys of the table and each index."""

from __future__ import annotations

from collections.abc import Iterator

from dynamo_chat.core.connection import Connection
from dynamo_chat.core.layout import PLACES, Place
from dynamo_chat.provision.definition import TableDefinition
from dynamo_chat.provision.differences import Difference


def switch_on_insights(connection: Connection, wanted: TableDefinition) -> None:
    """Switch it on where it is off, if the definition wants it."""
    if wanted.contributor_insights:
        for place in _places_without(connection):
            request = wanted.insights_request(connection.table_name, place)
            connection.call("UpdateContributorInsights", request)


def insight_differences(connection: Connection, wanted: TableDefinition) -> Iterator[Difference]:
    """The table and indexes where it is off, if the definition wants it."""
    if wanted.contributor_insights:
        for place in _places_without(connection):
            name = f"contributor insights of {place.index or 'table'}"
            yield Difference(name, "on", "off", is_essential=False)


def _places_without(connection: Connection) -> Iterator[Place]:
    for place in PLACES:
        index = {} if place.index is None else {"IndexName": place.index}
        request = {"TableName": connection.table_name, **index}
        answer = connection.call("DescribeContributorInsights", request)
        if answer.get("ContributorInsightsStatus") not in {"ENABLED", "ENABLING"}:
            yield place
