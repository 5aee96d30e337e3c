"""How much somebody may send: token buckets, and a bounded table of them for who is not known."""

import time
from collections import OrderedDict
from collections.abc import Callable

_MOST_STRANGERS = 10_000


class Bucket:
    """A bucket of tokens that fills at a rate, and holds what comes in the time of a burst.

    What is taken is known only afterwards, so a bucket may go into debt, by one request."""

    __slots__ = ("_at", "_level", "_most", "_rate")

    def __init__(self, rate: float, burst_s: float, now: float) -> None:
        self._rate = rate
        self._most = self._level = max(1.0, rate * burst_s)
        self._at = now

    def wait_s(self, now: float) -> float:
        """Give how long to wait until something may be taken: 0 when it may be now."""
        self._level = min(self._most, self._level + (now - self._at) * self._rate)
        self._at = now
        return 0.0 if self._level >= 1 else (1 - self._level) / self._rate

    def take(self, tokens: int) -> None:
        """Take tokens, whether or not they are there."""
        self._level -= tokens


class Strangers:
    """Who sends unknown keys, by network; those with known keys are never looked up here.

    The table is bounded: a stranger who was quiet the longest is forgotten, and begins anew."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_minute / 60
        self._clock = clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait_s(self, network: str) -> float:
        """Count one unknown key from a network; give how long it must wait: 0 when it need not."""
        now = self._clock()
        bucket = self._buckets.pop(network, None) or Bucket(self._rate, 60.0, now)
        self._buckets[network] = bucket
        if len(self._buckets) > _MOST_STRANGERS:
            self._buckets.popitem(last=False)
        wait_s = bucket.wait_s(now)
        if not wait_s:
            bucket.take(1)
        return wait_s
