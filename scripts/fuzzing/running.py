"""The fuzzing loop: make inputs by seed and number, count outcomes, keep untyped errors."""

import base64
import json
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from random import Random
from typing import Any

from dynamo_chat.core.errors import DynamoChatError
from fuzzing.parsers import Input, Parser

MOST_FAILURES = 20
"""How many failures of one parser are kept; then it is not run any more."""


@dataclass(slots=True)
class Failure:
    """An input whose outcome was neither a result nor a typed error."""

    parser: str
    seed: int
    number: int
    made: Input
    error: str
    """The traceback."""

    @property
    def what(self) -> str:
        """The last line of the traceback."""
        return self.error.strip().rpartition("\n")[2]

    @property
    def place(self) -> tuple[str, ...]:
        """The last lines of the traceback that name a place in the code."""
        lines = [line for line in self.error.splitlines() if line.startswith("  File ")]
        return (self.what.partition(":")[0], *lines[-2:])

    def save(self, folder: Path) -> Path:
        """Write the input to a file, for `load`."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.parser.replace(' ', '-')}-{self.seed}-{self.number}.json"
        said = {
            "parser": self.parser,
            "seed": self.seed,
            "number": self.number,
            "error": self.error.splitlines(),
            "input": _plain(self.made),
        }
        path.write_text(json.dumps(said, indent=1) + "\n", "utf-8")
        return path


@dataclass(slots=True)
class Tally:
    """The outcomes of a parser's inputs."""

    parser: str
    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0


def fuzz(
    parser: Parser,
    numbers: range,
    seed: int,
    *,
    until: float = float("inf"),
    step: Callable[[int], object] = lambda _: None,
) -> Tally:
    """Give `parser` the inputs with these numbers; stop at the time `until`."""
    tally = Tally(parser.name)
    seen: set[tuple[str, ...]] = set()
    began = time.monotonic()
    for number in numbers:
        made = parser.make(Random(f"{seed} {parser.name} {number}"))
        failed = judged(parser, made, tally.outcomes)
        tally.inputs += 1
        if failed is not None:
            failure = Failure(parser.name, seed, number, made, failed)
            if failure.place not in seen:  # the same again says nothing new
                seen.add(failure.place)
                tally.failures.append(failure)
            if len(tally.failures) >= MOST_FAILURES:
                break
        if number % 256 == 0:
            step(tally.inputs)
            if time.monotonic() >= until:
                break
    tally.seconds = time.monotonic() - began
    return tally


def judged(parser: Parser, made: Input, outcomes: Counter[str]) -> str | None:
    """Run one input and count its outcome. Returns the traceback of an unexpected error."""
    try:
        outcomes[parser.run(made)] += 1
    except DynamoChatError as error:
        outcomes[type(error).__name__] += 1
    except Exception:  # noqa: BLE001 - to find them is what this is for
        outcomes["UNTYPED"] += 1
        return traceback.format_exc()
    return None


def shares(parsers: Sequence[Parser], inputs: int) -> Iterator[tuple[Parser, int]]:
    """How many inputs each parser gets: those with more code get more."""
    weights = {"items": 10, "methods": 4, "stream records": 6, "keys": 4, "cursors": 4}
    weights |= {"conversations": 4, "texts": 4, "documents": 2, "stream batches": 2}
    whole = sum(weights.get(each.name, 0.5) for each in parsers)
    for each in parsers:
        yield each, ceil(inputs * weights.get(each.name, 0.5) / whole)


def load(path: Path) -> tuple[str, Input]:
    """The parser and the input of a file written by `Failure.save`."""
    said = json.loads(path.read_text("utf-8"))
    return said["parser"], _back(said["input"])


def _plain(made: Any) -> Any:
    if isinstance(made, bytes):
        return {"$bytes": base64.b64encode(made).decode()}
    if isinstance(made, dict):
        return {"$object": [[_plain(name), _plain(value)] for name, value in made.items()]}
    if isinstance(made, (list, tuple)):
        return [_plain(each) for each in made]
    return made


def _back(said: Any) -> Any:
    if isinstance(said, list):
        return [_back(each) for each in said]
    if isinstance(said, dict) and "$bytes" in said:
        return base64.b64decode(said["$bytes"])
    if isinstance(said, dict):
        return {_back(name): _back(value) for name, value in said["$object"]}
    return said
