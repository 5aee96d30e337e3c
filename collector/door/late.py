"""Who comes late while requests are turned away: what lay unread in the kernel for too long.

Invariants:

1. One request is late when it lay unread for longer than the limit.
2. When many of a moment were, so is all that comes in the next: whoever was not answered in time
   has a queue of its own by now, of which nothing is seen here, and nothing ends it sooner than
   saying no, which is cheap.
3. But not for ever: where even saying no is too much there is a queue all the time. After half a
   second nothing is late for as long: late is better than never.

Source: a queue that stands is known by how long things stay in it, not by its length, as in CoDel,
RFC 8289.
"""

_LOOK_EACH = 16
_MANY = 0.1
_MOMENTS = 25


class Late:
    """Judges requests by how long they lay unread. Units: milliseconds."""

    def __init__(self, limit_ms: int) -> None:
        self._limit_ms = limit_ms
        self._came = self._looked = self._late = 0
        self._in_a_row = 0
        self._all = self._none = False

    def looks(self, *, turned_away: bool) -> bool:
        """Say whether to look at a request: at some of those that are turned away anyway, at all
        others."""
        self._came += 1
        return not turned_away or self._came % _LOOK_EACH == 0

    def is_late(self, unread_ms: int) -> bool:
        """Judge a request that was looked at."""
        late = unread_ms > self._limit_ms
        self._looked += 1
        self._late += late
        return (late or self._all) and not self._none

    def moment(self) -> None:
        """Draw the consequence of a moment that is over, for the next one."""
        many = self._late > _MANY * self._looked
        self._in_a_row = self._in_a_row + 1 if many else 0
        self._none = self._in_a_row % (2 * _MOMENTS) >= _MOMENTS
        self._all = many and not self._none
        self._looked = self._late = 0
