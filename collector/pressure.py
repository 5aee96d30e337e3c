"""How much is under way in a collector, and who is turned away when it is too much.

Invariants:

1. Clients that come again are turned away at three quarters of a bound, those that never do at the
   whole: a beacon that is refused is lost.
2. A body that is still arriving counts with its bytes, not as a request: slow senders take no turn.
3. The bound of requests follows how long they wait for their turn. While even the shortest wait is
   too long, there is a standing queue, so fewer are let in; when it is gone there is room for more.
   Source: the sojourn time of CoDel, RFC 8289, section 4.
"""

import time
from collections.abc import Callable
from typing import Literal, NamedTuple

Why = Literal["bytes", "requests", "wait"]

MOMENT_S = 0.02
_RETRYING_SHARE = 0.75
_SHRINK = 0.75
_GROW = 16
_LEAST_ROOM = 64
_LATE_IN_A_ROW = 3
_LASTS_S = 5.0
_NOBODY = float("inf")


class Bounds(NamedTuple):
    """What may be under way at once, and how long a request may wait for its turn."""

    in_flight_bytes: int
    in_flight_requests: int
    wait_s: float


def why_not(
    in_flight_bytes: int, in_flight_requests: int, room: int, bounds: Bounds, *, comes_again: bool
) -> Why | None:
    """Say why one more request is turned away now, or nothing when it is let in.

    Shape: `room` is what is left of the bound of requests while they wait too long."""
    share = _RETRYING_SHARE if comes_again else 1.0
    if in_flight_bytes > share * bounds.in_flight_bytes:
        return "bytes"
    if in_flight_requests > share * room:
        return "requests" if room == bounds.in_flight_requests else "wait"
    return None


def adapted(room: int, busiest: int, late: int, bounds: Bounds) -> int:
    """Give the room for requests after a moment in which `busiest` was the most under way.

    Shape: `late` is how many moments in a row everybody waited too long; one is but a hiccup."""
    if late >= _LATE_IN_A_ROW:
        return max(_LEAST_ROOM, int(min(room, busiest) * _SHRINK))
    return room if late else min(bounds.in_flight_requests, room + _GROW)


class Pressure:
    """What is under way in one collector: whoever takes something adds it, and takes it off."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float] = time.monotonic) -> None:
        self._bounds = bounds
        self._clock = clock
        self.bytes = 0
        self.requests = 0
        self.room = bounds.in_flight_requests
        self._tight_bytes = int(_RETRYING_SHARE * bounds.in_flight_bytes)
        self._tight_requests = int(_RETRYING_SHARE * self.room)
        self._busiest = self._late = 0
        self._shortest_s = _NOBODY
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
    def late(self) -> bool:
        """Whether what was let in waits too long for its turn."""
        return self._late > 0

    @property
    def tight(self) -> bool:
        """Whether some kind of request may be turned away now."""
        return self.requests > self._tight_requests or self.bytes > self._tight_bytes

    def waited(self, since: float) -> None:
        """Take in that a request that was whole at an instant has its turn now.

        Units: seconds of the clock of this object."""
        wait_s = self._clock() - since
        self._busiest = max(self._busiest, self.requests)
        self._shortest_s = min(self._shortest_s, wait_s)

    def moment(self) -> None:
        """Draw the consequence of the moment that is over, for the next one."""
        if self._shortest_s != _NOBODY:
            self._late = self._late + 1 if self._shortest_s > self._bounds.wait_s else 0
        elif not self.requests:
            self._late = 0
        self.room = adapted(self.room, self._busiest, self._late, self._bounds)
        self._tight_requests = int(_RETRYING_SHARE * self.room)
        self._busiest, self._shortest_s = self.requests, _NOBODY

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
