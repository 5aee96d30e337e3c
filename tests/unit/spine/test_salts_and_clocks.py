"""Collectors whose clocks differ have one salt for a day, from midnight to its end."""

from collections import defaultdict
from datetime import datetime
from itertools import product
from zoneinfo import ZoneInfo

import pytest

from spine.control.log import Page
from spine.erasure_key import ErasureKey
from spine.kafka.topic import KafkaTopic
from spine.salts.salts import Salts

KEY = ErasureKey(b"a secret of more than thirty-two characters")
BERLIN = ZoneInfo("Europe/Berlin")
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
RETENTION_MS = int(KafkaTopic("", "t", 1).salts.required["retention.ms"])


class Forgetting:
    """A topic that lets go of a value as soon as it may; time is the broker's."""

    def __init__(self) -> None:
        self.now_ms = 0
        self._values: list[tuple[int, bytes]] = []

    async def open(self) -> None:
        self._values = [one for one in self._values if one[0] + RETENTION_MS > self.now_ms]

    async def append(self, key: bytes, value: bytes) -> None:
        self._values.append((self.now_ms, value))

    async def end(self) -> int:
        return len(self._values)

    async def read(self, position: int, wait_s: float) -> Page:
        return Page([value for _, value in self._values[position:]], len(self._values))

    async def close(self) -> None: ...


async def _in_use(on: tuple[int, int, int], apart_ms: int) -> list[int]:
    """Give how many salts each day had, of three collectors that stay and three that start anew
    every five minutes: on time, ahead and behind."""
    log = Forgetting()
    skews_ms = (0, apart_ms, -apart_ms)

    def started(skew_ms: int) -> Salts:
        return Salts(lambda: log, KEY, lambda: {"shop": BERLIN}, lambda: log.now_ms + skew_ms)

    stay = [started(skew_ms) for skew_ms in skews_ms]
    used: dict[int, set[bytes | None]] = defaultdict(set)
    begins_ms = int(datetime(*on, tzinfo=BERLIN).timestamp() * 1000)
    for minute in range(-3 * 60, 28 * 60, 5):
        log.now_ms = begins_ms + minute * MINUTE_MS
        # Who is ahead looks first: it makes a salt as early, and forgets it as early, as anybody.
        for skew_ms, fresh in product(sorted(skews_ms, reverse=True), (False, True)):
            one = started(skew_ms) if fresh else stay[skews_ms.index(skew_ms)]
            await one.look()
            at = datetime.fromtimestamp((log.now_ms + skew_ms) / 1000, BERLIN).date()
            day = (at - datetime(1970, 1, 1, tzinfo=BERLIN).date()).days
            used[day].add(one.of("shop", day))
    return [len(salts) for salts in used.values()]


@pytest.mark.parametrize(
    "on",
    [
        (2026, 11, 22),
        (2026, 3, 29),
        (2026, 10, 25),
    ],
    ids=["a day", "a day of 23 hours", "a day of 25 hours"],
)
async def test_clocks_that_differ_have_one_salt_for_a_day(
    on: tuple[int, int, int],
) -> None:
    assert await _in_use(on, HOUR_MS) == [1, 1, 1]


async def test_clocks_four_hours_apart_have_more_than_one() -> None:
    """Or the test above could not fail."""
    assert max(await _in_use((2026, 11, 22), 2 * HOUR_MS)) > 1
