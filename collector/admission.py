"""What `admit` gives: a result for each event of a request, and what goes to the log."""

from typing import Literal

import msgspec

from spine.log import Entry


class Outcome(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """How an event fared, for counting.

    Shape: `name` is a known name, `(custom)` or `(unreadable)`, and empty for what was accepted;
    `rule` and `kept` are empty where no consent rule was asked."""

    status: Literal["accepted", "refused", "dropped"]
    code: str
    name: str
    rule: str = ""
    kept: str = ""


class Result(msgspec.Struct, gc=False):
    """What is answered about one event."""

    event_id: str | None
    status: str
    code: str | None
    detail: str | None


class Admission(msgspec.Struct, frozen=True):
    """The answer to a request, in request order, and what must be durable before it is given.

    Shape: an outcome stands beside each result."""

    results: list[Result]
    outcomes: list[Outcome]
    admitted: list[Entry]

    @property
    def size_bytes(self) -> int:
        """How many bytes go to the log."""
        if len(self.admitted) == 1:  # as with every single event
            return len(self.admitted[0].value)
        return sum([len(entry.value) for entry in self.admitted])
