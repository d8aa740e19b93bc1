"""Client CPU per operation, as a ratio to raw botocore and PynamoDB in the same run."""

from benchmarks.canned import canned_server
from benchmarks.clock import interleaved
from benchmarks.contenders import OURS, REFERENCE, SAME_ITEMS, Contest
from benchmarks.samples import recordings
from dynamo_chat.testing import Engine


def measure(rounds: int, seconds_per_batch: float) -> list[dict[str, object]]:
    """One row per operation and contender: CPU microseconds, and two ratios to raw botocore.

    ``ratio`` is to raw botocore with the same data as it is usually kept, every field an attribute
    and nested values as maps; ``same items`` is to raw botocore with dynamo_chat's own items, byte
    by byte. Contenders take turns in every round. ``requests`` is what the operation asks of the
    server: the others make its main request alone.
    """
    rows: list[dict[str, object]] = []
    for name, recording in recordings().items():
        contest = Contest(name, recording)
        with (
            canned_server(recording.bodies) as endpoint,
            canned_server(contest.usual_bodies) as usual_endpoint,
            Engine(endpoint),
        ):
            timings = interleaved(
                contest.calls(endpoint, usual_endpoint),
                references=(REFERENCE, SAME_ITEMS),
                rounds=rounds,
                seconds_per_batch=seconds_per_batch,
            )
        rows += [
            {
                "operation": name,
                "contender": contender,
                "requests": recording.requests if contender in OURS else 1,
                "cpu_us": round(timing.microseconds, 1),
                "ratio": round(timing.ratios[REFERENCE], 3),
                "same items": round(timing.ratios[SAME_ITEMS], 3),
            }
            for contender, timing in timings.items()
        ]
    return rows
