"""What the clients know: every attempt, when, to whom, which answer came when.

Independent of the product: nothing of it is read from the store or the log.
"""

import json
import time
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tests.faults.parcel import Parcel
from tests.flow.happenings import Happening

TALLY_FLUSH_S = 10.0
"""The stated bound: a SIGKILL loses at most the tallies of one flush interval."""
_FLUSH_LEEWAY_S = 2.0


class Attempt(NamedTuple):
    """One request. Shape: `status` is 0 when no answer came."""

    parcel: Parcel
    to: str
    sent_at: float
    answered_at: float
    status: int


class Death(NamedTuple):
    """The end of a process.

    Shape: `flushed` when it ended in order, else tallies of the last `unflushed_s` may be gone."""

    role: str
    died_at: float
    flushed: bool
    unflushed_s: float


class Truth:
    """Everything the clients sent, and when processes ended."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.deaths: list[Death] = []
        self.sent: dict[str, Happening] = {}
        self.acknowledged: set[str] = set()

    def note(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        for saying in attempt.parcel.sayings:
            if saying.told is not None:
                self.sent[saying.told.identity] = saying.told
                if attempt.status == 202:
                    self.acknowledged.add(saying.told.identity)

    def died(self, role: str, flushed: bool, log_away_s: float = 0.0) -> None:
        """Note the end of a process, whose tallies could not be flushed for a while before."""
        unflushed_s = log_away_s + TALLY_FLUSH_S + _FLUSH_LEEWAY_S
        self.deaths.append(Death(role, time.time(), flushed, unflushed_s))

    def turned_away_since(self, at: float, by: str) -> bool:
        """Say whether a process answered since then that it refuses or drops something."""
        return any(
            attempt.to == by and attempt.sent_at > at and attempt.status == 202
            for attempt in self.attempts
            if _turned_away(attempt)
        )

    def days_of_receipt(self, zone: ZoneInfo) -> Mapping[str, set[date]]:
        """Give the days on which each event may have been received first."""
        days: dict[str, set[date]] = {}
        for attempt in self.attempts:
            moments = (attempt.sent_at, attempt.answered_at)
            on = {datetime.fromtimestamp(moment, zone).date() for moment in moments}
            for saying in attempt.parcel.sayings:
                if saying.told is not None:
                    days.setdefault(saying.told.identity, set()).update(on)
        return days

    def tally_bounds(self, since: float = 0.0) -> tuple[int, int]:
        """Give the fewest and the most refusals and drops that the store may count of it."""
        attempts = [attempt for attempt in self.attempts if attempt.sent_at >= since]
        most = sum(map(_turned_away, attempts))
        return most - sum(map(_turned_away, filter(self._may_be_missing, attempts))), most

    def _may_be_missing(self, attempt: Attempt) -> bool:
        if attempt.status != 202:
            return True
        ends = [
            death
            for death in self.deaths
            if death.role == attempt.to and death.died_at >= attempt.answered_at
        ]
        if not ends:
            return True
        end = min(ends, key=lambda death: death.died_at)
        alive_s = end.died_at - attempt.answered_at
        return not end.flushed and alive_s <= end.unflushed_s

    def write(self, path: Path) -> None:
        """Keep it as a file, a line for each attempt."""
        with path.open("w") as file:
            for attempt in self.attempts:
                told = [saying.body for saying in attempt.parcel.sayings]
                site, channel, _ = attempt.parcel
                line = {**attempt._asdict(), "parcel": told, "site": site.name, "channel": channel}
                file.write(json.dumps(line) + "\n")


def _turned_away(attempt: Attempt) -> int:
    return sum(saying.told is None for saying in attempt.parcel.sayings)
