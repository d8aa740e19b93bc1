"""What the demo shows of the table."""

from dynamo_chat.cli.item_collections import read_record_items
from dynamo_chat.importing.acs import load_acs
from dynamo_chat.importing.oneonone import load_oneonone
from dynamo_chat.importing.sample_records import sample
from dynamo_chat.store import StoreFactory
from dynamo_chat.testing import FakeClock
from tests.scene import Scene


def test_what_is_shown_of_them_is_everything_that_is_there(
    scene: Scene, factory: StoreFactory, clock: FakeClock
) -> None:
    """No item is left out of the table view, whatever led to it."""
    acs = load_acs(factory, sample("acs"), clock())
    calls = load_oneonone(factory, sample("oneonone"), clock())
    shown = read_record_items(factory(), [*acs.partitions(), *calls.partitions()])
    places = [(item["PK"]["S"], item["SK"]["S"]) for item in shown]
    stored = sorted((item["PK"]["S"], item["SK"]["S"]) for item in scene.items())
    assert sorted(places) == stored
