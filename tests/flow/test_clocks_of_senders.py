"""Clocks of devices: years off, drifting, or asleep; each event has its time and counts once."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from spine.store import Store
from tests.clickhouse_server import Server
from tests.flow.derive_model import outcome
from tests.flow.derived import own_store
from tests.flow.door import BROWSER, CONSENT, ORIGIN, SERVER, Answer, Door, door
from tests.flow.happenings import DAY_MS, HOUR_MS, Happening
from tests.flow.passage import enter_site, process
from tests.flow.views import found

TODAY_MS = 1_795_341_600_000  # 2026-11-22T10:00:00Z
MINUTE_MS = 60_000
TEN_YEARS_MS = 3_652 * DAY_MS


def text(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat()


class Device(NamedTuple):
    """A browser whose clock is so far off, and goes so many parts in a million too fast."""

    name: str
    off_ms: int = 0
    ppm: int = 0

    def clock(self, true_ms: int) -> int:
        return true_ms + self.off_ms + (true_ms - TODAY_MS) * self.ppm // 1_000_000

    def event(self, number: int, true_ms: int) -> dict[str, Any]:
        return {
            "event_id": f"{self.name}-{number}",
            "name": "page_view",
            "occurred_at": text(self.clock(true_ms)),
            "anonymous_id": self.name,
            "page": {"url": "https://shop.example/"},
            "consent": CONSENT,
        }

    def told(self, number: int, at_ms: int) -> Happening:
        name = f"{self.name}-{number}"
        return Happening("shop", "page_view", name, at_ms, anonymous_id=self.name)


DEVICES = (
    Device("right"),
    Device("ten-years-ahead", TEN_YEARS_MS),
    Device("ten-years-behind", -TEN_YEARS_MS),
    Device("fast", 5 * MINUTE_MS, 2_000),
    Device("slow", -TEN_YEARS_MS, -2_000),
)


class Clock:
    """The collector's clock, set by the test."""

    def __init__(self) -> None:
        self.now_ms = TODAY_MS

    def __call__(self) -> int:
        return self.now_ms


async def post(front: Door, events: Sequence[object], sent_at: str | None = None) -> Answer:
    body = {"events": events} | ({"sent_at": sent_at} if sent_at else {})
    return await front.post(body, key=BROWSER, Origin=ORIGIN, Content_Type="application/json")


async def landed(front: Door, store: Store) -> None:
    await enter_site(store, "shop")
    await process(store, "log", await front.log.read(0, 0, 10_000))


async def test_sent_at_puts_right_what_a_clock_is_off_and_sessions_are_as_they_were(
    tmp_path: Path, clickhouse_server: Server
) -> None:
    clock = Clock()
    wanted: list[Happening] = []
    async with door(tmp_path, now_ms=clock) as front, own_store(clickhouse_server) as store:
        for device in DEVICES:
            # Six days of visits, of two pages half an hour apart and one much later, kept by the
            # device and sent together; then one sent at once.
            visits = [
                TODAY_MS - day * DAY_MS + minutes * MINUTE_MS
                for day in range(1, 7)
                for minutes in (0, 29, 120)
            ]
            clock.now_ms = TODAY_MS + 40  # the way took so long
            sent_ms = device.clock(TODAY_MS)
            events = [device.event(number, true_ms) for number, true_ms in enumerate(visits)]
            answer = await post(front, events, text(sent_ms))
            assert answer.json["accepted"] == len(visits), answer.json
            wanted += [
                device.told(number, clock.now_ms - (sent_ms - device.clock(true_ms)))
                for number, true_ms in enumerate(visits)
            ]
            clock.now_ms = TODAY_MS + HOUR_MS
            sent_ms = device.clock(clock.now_ms)
            answer = await post(front, [device.event(99, clock.now_ms)], text(sent_ms))
            assert answer.codes == [None]
            wanted.append(device.told(99, clock.now_ms))
        await landed(front, store)
        assert await found(store, "shop") == outcome(wanted)


async def test_without_sent_at_a_clock_ahead_is_held_back_and_one_years_behind_is_refused(
    tmp_path: Path, clickhouse_server: Server
) -> None:
    clock = Clock()
    wanted: list[Happening] = []
    async with door(tmp_path, now_ms=clock) as front, own_store(clickhouse_server) as store:
        for number in range(3):
            clock.now_ms = TODAY_MS + number * 20 * MINUTE_MS
            for device in DEVICES:
                answer = await post(front, [device.event(number, clock.now_ms)])
                if device.off_ms < -7 * DAY_MS:
                    assert answer.codes == ["too_old"]
                    continue
                assert answer.codes == [None]
                wanted.append(device.told(number, clock.now_ms))
        events = await front.events()
        ahead = [e for e in events if e.event.anonymous_id in ("ten-years-ahead", "fast")]
        assert {e.flags for e in ahead} == {("time_clamped",)}
        await landed(front, store)
        assert await found(store, "shop") == outcome(wanted)


async def sent_again(front: Door, store: Store, clock: Clock, event: dict[str, Any]) -> list[str]:
    """Send an event today, in three days and in a month; the answers."""
    codes = []
    for later_ms in (0, 3 * DAY_MS, 30 * DAY_MS):
        clock.now_ms = TODAY_MS + later_ms
        answer = await post(front, [event], text(clock.now_ms))
        codes += [answer.codes[0] or answer.json["results"][0]["status"]]
    await landed(front, store)
    return codes


@pytest.mark.parametrize("left_out", [(), ("event_id",)])
async def test_what_a_sleeping_laptop_sends_again_days_later_counts_once(
    tmp_path: Path, clickhouse_server: Server, left_out: Sequence[str]
) -> None:
    clock = Clock()
    event = DEVICES[0].event(1, TODAY_MS - MINUTE_MS)
    event = {name: value for name, value in event.items() if name not in left_out}
    first = "event_id_filled" if left_out else "accepted"
    async with door(tmp_path, now_ms=clock) as front, own_store(clickhouse_server) as store:
        assert await sent_again(front, store, clock, event) == [first, first, "too_old"]
        assert await store.select(
            "SELECT count(), sum(events), min(toUnixTimestamp64Milli(started_at)) FROM v_sessions"
        ) == [(1, 1, TODAY_MS - MINUTE_MS)]
        assert await store.select("SELECT fate, code FROM fates FINAL ORDER BY log_offset") == [
            ("stored", ""), ("duplicate", "duplicate_copy"),
        ]  # fmt: skip


async def test_an_event_with_neither_id_nor_time_is_another_one_each_time_it_is_sent(
    tmp_path: Path, clickhouse_server: Server
) -> None:
    """As docs/http.md says: for such a client the promise begins at the collector."""
    clock = Clock()
    event = DEVICES[0].event(1, TODAY_MS)
    del event["event_id"], event["occurred_at"]
    async with door(tmp_path, now_ms=clock) as front, own_store(clickhouse_server) as store:
        assert await sent_again(front, store, clock, event) == ["event_id_filled"] * 3
        assert await store.select("SELECT count(), sum(events) FROM v_sessions") == [(3, 3)]


async def test_sessions_go_on_while_clocks_change_for_summer_and_for_winter(
    tmp_path: Path, clickhouse_server: Server
) -> None:
    # Berlin: 02:00 becomes 03:00 in spring, 03:00 becomes 02:00 in autumn; both at 01:00 UTC.
    local = {
        "spring": ("2026-03-29T01:50:00+01:00", "2026-03-29T03:10:00+02:00"),
        "autumn": ("2026-10-25T02:50:00+02:00", "2026-10-25T02:10:00+01:00"),
    }
    async with door(tmp_path, now_ms=Clock()) as front, own_store(clickhouse_server) as store:
        for season, times in local.items():
            events = [
                {**Device(season).event(number, 0), "occurred_at": time}
                for number, time in enumerate(times)
            ]
            answer = await front.post({"events": events}, SERVER, Content_Type="application/json")
            assert answer.codes == [None, None]
        await landed(front, store)
        assert await store.select(
            "SELECT toString(started_at), duration_s, page_views FROM v_sessions ORDER BY 1"
        ) == [("2026-03-29 00:50:00.000", 1200, 2), ("2026-10-25 00:50:00.000", 1200, 2)]
