"""How much is under way in a collector, and who is turned away when it is too much.

Invariants:

1. Clients that come again are turned away at three quarters of a bound, those that never do at the
   whole: a beacon that is refused is lost.
2. A body that is still arriving counts with its bytes, not as a request: slow senders take no turn.
   All of them have half of the bound of bytes together, and one that would take more is given up:
   they shut out nobody whose request comes whole, and cannot grow beyond the bound once let in.
3. The bound of requests follows what they wait for. While the event loop wants the CPU all the
   time there is a queue, so no more is let in than is done within `wait_s` and the shortest time
   that the log took of late. A log that is slow makes no queue: the loop sleeps meanwhile.
   Source: Little's law; the shortest time stands for what meets no queue, as in CoDel, RFC 8289.
"""

import time
from collections.abc import Callable
from typing import Literal, NamedTuple

Why = Literal["bytes", "requests", "wait"]

MOMENT_S = 0.02
_RETRYING_SHARE = 0.75
_ARRIVING_SHARE = 0.5
_GROW = 16
_LEAST_ROOM = 86  # three quarters of it are 64, as many as a busy sender may have open
_BUSY = 0.9
_FULL_IN_A_ROW = 3
_SMOOTH = 0.1
_REMEMBERED_S = 5.0
_NEVER = float("inf")
_MOST_LOG_S = 1.0
_LASTS_S = 5.0


class Bounds(NamedTuple):
    """What may be under way at once, and how long a request may wait while the CPU is busy."""

    in_flight_bytes: int
    in_flight_requests: int
    wait_s: float


def why_not(
    in_flight_bytes: int, in_flight_requests: int, room: int, bounds: Bounds, *, comes_again: bool
) -> Why | None:
    """Say why one more request is turned away now, or nothing when it is let in.

    Shape: `room` is what is left of the bound of requests while there is a queue."""
    share = _RETRYING_SHARE if comes_again else 1.0
    if in_flight_bytes > share * bounds.in_flight_bytes:
        return "bytes"
    if in_flight_requests > share * room:
        return "requests" if room == bounds.in_flight_requests else "wait"
    return None


def adapted(room: int, full: int, done_per_s: float, log_s: float, bounds: Bounds) -> int:
    """Give the room for requests of the next moment.

    Shape: `full` is how many moments in a row the loop was busy; some are but a hiccup. `log_s` is
    the shortest time that the log takes."""
    if full >= _FULL_IN_A_ROW:
        fitting = int(done_per_s * (log_s + bounds.wait_s))
        return min(bounds.in_flight_requests, max(_LEAST_ROOM, min(fitting, room + _GROW)))
    return room if full else min(bounds.in_flight_requests, room + _GROW)


class Pressure:
    """What is under way in one collector: whoever takes something adds it, and takes it off."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float] = time.monotonic) -> None:
        self._bounds = bounds
        self._clock = clock
        self.bytes = 0
        self.requests = 0
        self._arriving_bytes = 0
        self.room = bounds.in_flight_requests
        self._tight_bytes = int(_RETRYING_SHARE * bounds.in_flight_bytes)
        self._tight_requests = int(_RETRYING_SHARE * self.room)
        self._full = self._appended = 0
        self._appended_per_s = 0.0
        self._shortest_s = self._shortest_before_s = _NEVER
        self._shortest_since = clock()
        self._shed_from = self._shed_at = float("-inf")

    def why_not(self, *, comes_again: bool) -> Why | None:
        """Say why a request is turned away now; one that is let in is counted by its caller."""
        if not self.tight:  # as nearly always
            return None
        why = why_not(self.bytes, self.requests, self.room, self._bounds, comes_again=comes_again)
        if why is not None:
            self._note()
        return why

    @property
    def tight(self) -> bool:
        """Whether some kind of request may be turned away now."""
        return self.requests > self._tight_requests or self.bytes > self._tight_bytes

    def arrive(self, more_bytes: int, came_bytes: int, *, comes_again: bool) -> bool:
        """Count some of a body of which so much has come; say whether there is room for it.

        Shape: the only one that is arriving has room."""
        self.bytes += more_bytes
        self._arriving_bytes += more_bytes
        share = _ARRIVING_SHARE * (_RETRYING_SHARE if comes_again else 1.0)
        arriving = self._arriving_bytes
        if arriving <= share * self._bounds.in_flight_bytes or arriving == came_bytes:
            return True
        self._note()
        return False

    def arrived(self, came_bytes: int) -> None:
        """Take off a body that has come, or never will; what is whole is for others to count."""
        self.bytes -= came_bytes
        self._arriving_bytes -= came_bytes

    def appended(self, took_s: float) -> None:
        """Take in that the log took what a request brought, and how long it took."""
        self._appended += 1
        self._shortest_s = min(self._shortest_s, took_s)

    def moment(self, busy: float, seconds: float) -> None:
        """Draw the consequence of a moment that is over, for the next one.

        Shape: `busy` is the share of it in which the loop had, or wanted to have, the CPU."""
        self._full = self._full + 1 if busy > _BUSY else 0
        self._appended_per_s += _SMOOTH * (self._appended / seconds - self._appended_per_s)
        self._appended = 0
        log_s = min(self._shortest_s, self._shortest_before_s, _MOST_LOG_S)
        self.room = adapted(self.room, self._full, self._appended_per_s, log_s, self._bounds)
        self._tight_requests = int(_RETRYING_SHARE * self.room)
        if self._clock() - self._shortest_since > _REMEMBERED_S:
            self._shortest_before_s, self._shortest_s = self._shortest_s, _NEVER
            self._shortest_since = self._clock()

    def _note(self) -> None:
        now = self._clock()
        if now - self._shed_at > _LASTS_S:
            self._shed_from = now
        self._shed_at = now

    @property
    def lasts(self) -> bool:
        """Whether requests have been turned away for seconds and still are."""
        return (
            self._clock() - self._shed_at <= _LASTS_S and self._shed_at - self._shed_from > _LASTS_S
        )
