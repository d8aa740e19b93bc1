"""Callers, queues and calls as a few plain values: what the store is compared with."""

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

KEPT = timedelta(days=90)
LEASE = timedelta(hours=1)


@dataclass
class Person:
    """A caller."""

    name: str
    zone: str
    day: date = date.min
    until: datetime | None = None
    left: int = 15
    spends: dict[str, int] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)
    resets: set[str] = field(default_factory=set)

    def turned(self, now: datetime) -> "Person":
        """The person at `now`; spends before the last ones are forgotten when a day brings new."""
        if self.until is not None and now < self.until:
            return self
        place = ZoneInfo(self.zone)
        today = max(self.day, now.astimezone(place).date())
        until = datetime.combine(today + timedelta(days=1), time(), place)
        if today == self.day:
            return Person(
                self.name, self.zone, today, until, self.left, self.spends, self.before, self.resets
            )
        before = self.spends or self.before
        return Person(self.name, self.zone, today, until, 15, {}, before, self.resets)

    def knows(self, spend_id: str) -> int | None:
        return self.spends.get(spend_id, self.before.get(spend_id))


@dataclass
class Ticket:
    """A place in the queue."""

    name: str
    since: datetime
    until: datetime


@dataclass
class Talk:
    """A call."""

    call_id: str
    pair: tuple[str, str]
    room: str
    start: datetime
    from_queue: bool
    end: datetime | None = None

    @property
    def gone(self) -> datetime:
        kept = (self.end or self.start) + KEPT
        return kept if not kept.microsecond else kept.replace(microsecond=0) + timedelta(seconds=1)


@dataclass
class Model:
    """Everything."""

    people: dict[str, Person] = field(default_factory=dict)
    line: list[Ticket] = field(default_factory=list)
    talks: dict[str, Talk] = field(default_factory=dict)

    def look(self, now: datetime) -> None:
        """What is over is gone."""
        self.line = [ticket for ticket in self.line if ticket.until > now]
        self.talks = {each: talk for each, talk in self.talks.items() if talk.gone > now}

    def place(self, name: str) -> Ticket | None:
        return next((ticket for ticket in self.line if ticket.name == name), None)

    def talk_of(self, name: str) -> Talk | None:
        """The live call that a person is in."""
        live = (talk for talk in self.talks.values() if talk.end is None)
        return next((talk for talk in live if name in talk.pair), None)

    def history(self, name: str) -> list[Talk]:
        talks = [talk for talk in self.talks.values() if name in talk.pair]
        return sorted(talks, key=lambda talk: (talk.start, talk.call_id), reverse=True)

    def pay(self, name: str, points: int, spend_id: str, now: datetime) -> None:
        person = self.people[name] = self.people[name].turned(now)
        if points:
            person.left -= points
            person.spends = {**person.spends, spend_id: points}

    def leave(self, name: str) -> None:
        self.line = [ticket for ticket in self.line if ticket.name != name]

    def next_pair(self, needed: int, now: datetime) -> tuple[str, str] | None:
        """The two who wait longest and have the points; those who have not are sent away.

        Only while there are two: nobody looks at one who is alone.
        """
        while len(self.line) >= 2:
            head = [ticket.name for ticket in self.line[:2]]
            poor = [name for name in head if self.people[name].turned(now).left < needed]
            for name in poor:
                self.leave(name)
            if not poor:
                return head[0], head[1]
        return None

    def begin(self, talk: Talk, cost: int) -> None:
        self.talks[talk.call_id] = talk
        for name in talk.pair:
            self.leave(name)
            if cost:
                self.pay(name, cost, talk.call_id, talk.start)
