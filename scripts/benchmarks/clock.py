"""Interleaved measurement: every contender in every round, so that a slow minute affects all."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """CPU time of one operation, over all rounds."""

    microseconds: float
    """The median over the rounds."""
    ratios: Mapping[str, float]
    """By reference: the median over the rounds of this one's time by the reference's."""


def interleaved(
    operations: Mapping[str, Callable[[], object]],
    *,
    references: Sequence[str],
    rounds: int,
    seconds_per_batch: float,
) -> dict[str, Timing]:
    """CPU time of each operation, measured in turns: a batch of each, then of each again.

    ``seconds_per_batch`` sets how many calls make a batch, from a first look at each operation.
    What counts is the CPU time of this process, so waiting for a socket costs nothing.
    """
    calls = {name: _batch_size(run, seconds_per_batch) for name, run in operations.items()}
    taken: dict[str, list[float]] = {name: [] for name in operations}
    for _ in range(rounds):
        for name, run in operations.items():
            taken[name].append(_cpu_time(run, calls[name]))
    return {
        name: Timing(
            microseconds=statistics.median(own) * 1e6,
            ratios={base: _median_ratio(own, taken[base]) for base in references},
        )
        for name, own in taken.items()
    }


def _median_ratio(own: Sequence[float], base: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(own, base, strict=True))


def _batch_size(run: Callable[[], object], seconds: float) -> int:
    run()  # connections, caches and imports are made outside of the measurement
    return max(5, round(seconds / max(_cpu_time(run, 5), 1e-6)))


def _cpu_time(run: Callable[[], object], calls: int) -> float:
    """Seconds of CPU for one call, on average over ``calls``."""
    gc.collect()
    started = time.process_time()
    for _ in range(calls):
        run()
    return (time.process_time() - started) / calls
