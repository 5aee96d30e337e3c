"""Sending a file to a collector that may be slow, away, or not a collector at all."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
import pytest
from aiohttp import web

from beleg.post import events_url, wait_s
from beleg.send import Progress, SendOptions, Summary, send
from spine.errors import Misconfigured, Unavailable
from tests.unit.beleg.front_door import HANG_UP, FrontDoor, front_door

KEY = "sk_test_secret"
SMALL = SendOptions(batch_events=10, patience_s=5)


def lines_of(count: int) -> list[bytes]:
    return [b'{"event_id": "%d",  "name": "search"}\n' % number for number in range(count)]


async def run(url: str, lines: Iterable[bytes], options: SendOptions = SMALL) -> Summary:
    return await send(
        lines, url, KEY, options=options, progress=lambda _: None, warn=lambda _: None
    )


def ids(door: FrontDoor) -> list[str]:
    return [event["event_id"] for request in door.requests for event in request.events]


async def test_every_line_arrives_once_with_the_key_and_gzipped() -> None:
    async with front_door() as door:
        summary = await run(door.url, lines_of(95))
    assert (summary.lines, summary.accepted, summary.trouble) == (95, 95, None)
    assert sorted(ids(door), key=int) == [str(number) for number in range(95)]
    assert sorted(len(request.events) for request in door.requests) == [5, *[10] * 9]
    for request in door.requests:
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        assert request.headers["Content-Encoding"] == "gzip"
        assert "sent_at" not in orjson.loads(request.raw)


async def test_a_line_travels_byte_for_byte() -> None:
    line = '{"event_id":"ä", "commerce":{"value":  39.90}}'.encode()
    async with front_door() as door:
        await run(door.url, [line])
    assert line in door.requests[0].raw


async def test_bad_lines_and_refusals_are_named_by_line_and_stop_nothing() -> None:
    def judge(event: dict[str, Any]) -> tuple[str, str | None]:
        number = int(event["event_id"])
        if number == 50:
            return "dropped", "no_consent"
        return ("refused", "bad_currency") if number % 20 == 7 else ("accepted", None)

    lines = lines_of(100)
    lines[3] = b"{broken\n"
    async with front_door(judge) as door:
        summary = await run(door.url, lines)
    assert (summary.lines, summary.accepted) == (100, 93)
    assert (summary.refused, summary.dropped) == (6, 1)
    assert summary.by_code == {"bad_currency": 5, "no_consent": 1, "not_json": 1}
    assert [(refusal.line, refusal.code) for refusal in summary.refusals] == [
        (4, "not_json"),
        (8, "bad_currency"),
        (28, "bad_currency"),
        (48, "bad_currency"),
        (68, "bad_currency"),
        (88, "bad_currency"),
    ]


async def test_the_first_refusals_are_shown_whoever_answers_first() -> None:
    async def slow_at_first(number: int) -> web.Response | None:
        await asyncio.sleep(0.1 if number == 0 else 0)
        return None

    options = SendOptions(batch_events=10, refusals_shown=3)
    async with front_door(lambda _: ("refused", "bad_time"), slow_at_first) as door:
        summary = await run(door.url, lines_of(100), options)
    assert [refusal.line for refusal in summary.refusals] == [1, 2, 3]
    assert summary.refused == 100


async def test_a_busy_collector_is_asked_again_not_before_it_said() -> None:
    async def busy_once(number: int) -> web.Response | None:
        busy = web.Response(status=503, headers={"Retry-After": "1"})
        return busy if number == 0 else None

    async with front_door(misbehave=busy_once) as door:
        began_at_s = time.monotonic()
        summary = await run(door.url, lines_of(5))
    assert time.monotonic() - began_at_s >= 1
    assert (summary.accepted, len(door.requests)) == (5, 2)


@pytest.mark.parametrize("status", [429, 500])
async def test_what_may_pass_is_tried_again(status: int) -> None:
    async def trouble_twice(number: int) -> web.Response | None:
        return web.Response(status=status) if number < 2 else None

    async with front_door(misbehave=trouble_twice) as door:
        summary = await run(door.url, lines_of(5))
    assert (summary.accepted, len(door.requests)) == (5, 3)


async def test_after_a_lost_answer_the_same_batch_goes_again_and_counts_once() -> None:
    async def lose_the_second(number: int) -> web.Response | None:
        return HANG_UP if number == 1 else None

    options = SendOptions(batch_events=10, patience_s=5, concurrency=1)
    async with front_door(misbehave=lose_the_second) as door:
        summary = await run(door.url, lines_of(30), options)
    assert (summary.lines, summary.accepted) == (30, 30)
    assert door.requests[1].raw == door.requests[2].raw
    assert len(door.requests) == 4


async def test_patience_ends_and_what_was_answered_before_is_told() -> None:
    async def away_after_two(number: int) -> web.Response | None:
        return web.Response(status=503) if number >= 2 else None

    options = SendOptions(batch_events=10, patience_s=0.8, concurrency=2)
    async with front_door(misbehave=away_after_two) as door:
        summary = await asyncio.wait_for(run(door.url, lines_of(200), options), 10)
    assert isinstance(summary.trouble, Unavailable)
    assert "503" in summary.trouble.what
    assert summary.accepted == 20
    assert summary.lines < 200


async def test_a_collector_that_asks_for_more_than_our_patience_is_not_waited_for() -> None:
    async def gone_for_an_hour(number: int) -> web.Response | None:
        return web.Response(status=503, headers={"Retry-After": "3600"})

    async with front_door(misbehave=gone_for_an_hour) as door:
        summary = await asyncio.wait_for(run(door.url, lines_of(5)), 3)
    assert isinstance(summary.trouble, Unavailable)


async def test_nobody_listening_is_unavailable() -> None:
    async with front_door() as door:
        url = door.url
    summary = await run(url, lines_of(5), SendOptions(patience_s=0.5))
    assert isinstance(summary.trouble, Unavailable)
    assert (summary.lines, summary.accepted) == (5, 0)


async def test_a_silent_collector_is_given_up() -> None:
    async def silent(number: int) -> web.Response | None:
        await asyncio.sleep(1)
        return None

    options = SendOptions(patience_s=0.5, answer_timeout_s=0.2)
    async with front_door(misbehave=silent) as door:
        summary = await asyncio.wait_for(run(door.url, lines_of(5), options), 5)
    assert isinstance(summary.trouble, Unavailable)


@pytest.mark.parametrize(
    ("status", "key"),
    [(401, "key"), (403, "key"), (413, "batch_bytes"), (404, "url"), (302, "url"), (200, "url")],
)
async def test_what_will_not_pass_stops_with_a_sentence_that_keeps_the_key(
    status: int, key: str
) -> None:
    async def turn_away(number: int) -> web.Response | None:
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with front_door(misbehave=turn_away) as door:
        summary = await run(door.url, lines_of(1_000), SendOptions(batch_events=10))
    assert isinstance(summary.trouble, Misconfigured)
    assert summary.trouble.key == key
    assert KEY not in str(summary.trouble)
    assert len(door.requests) <= 4


@pytest.mark.parametrize("body", [b"hello", b'{"accepted":5,"results":[]}', b'{"accepted":5}'])
async def test_an_answer_that_leaves_events_open_is_no_answer(body: bytes) -> None:
    async def mumble(number: int) -> web.Response | None:
        return web.Response(status=202, body=body)

    async with front_door(misbehave=mumble) as door:
        summary = await run(door.url, lines_of(5))
    assert isinstance(summary.trouble, Misconfigured)
    assert summary.accepted == 0


async def test_four_requests_are_under_way_and_never_five() -> None:
    under_way = most = 0

    async def count(number: int) -> web.Response | None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        return None

    async with front_door(misbehave=count) as door:
        await run(door.url, lines_of(400))
    assert most == 4


async def test_the_file_is_read_no_further_than_what_is_under_way() -> None:
    read, furthest_ahead = 0, 0

    def file() -> Iterator[bytes]:
        nonlocal read
        for line in lines_of(1_000):
            read += 1
            yield line

    async def look(number: int) -> web.Response | None:
        nonlocal furthest_ahead
        furthest_ahead = max(furthest_ahead, read - 10 * (number + 1))
        await asyncio.sleep(0.002)
        return None

    async with front_door(misbehave=look) as door:
        summary = await run(door.url, file())
    assert summary.accepted == 1_000
    assert furthest_ahead <= 4 * 10 + 10


async def test_progress_only_grows_and_ends_at_the_whole_file() -> None:
    seen: list[Progress] = []
    lines = [*lines_of(60), b"\n", b"nonsense\n"]
    total_bytes = sum(map(len, lines))
    options = SendOptions(batch_events=10, total_bytes=total_bytes)
    async with front_door() as door:
        await send(lines, door.url, KEY, options=options, progress=seen.append, warn=print)
    assert [at.lines for at in seen] == sorted(at.lines for at in seen)
    assert seen[-1].lines == 61
    assert seen[-1].read_bytes == total_bytes - 1  # the blank line
    assert seen[-1].total_bytes == total_bytes
    assert seen[-1].lines_per_s > 0


async def test_lines_without_an_id_are_warned_of_once() -> None:
    warnings: list[str] = []
    lines = [*lines_of(12), *[b'{"name": "search"}\n'] * 30]
    async with front_door() as door:
        summary = await send(
            lines, door.url, KEY, options=SMALL, progress=lambda _: None, warn=warnings.append
        )
    assert len(warnings) == 1
    assert warnings[0].startswith("line 13 has no event_id")
    assert summary.without_event_id == 30


async def test_an_empty_file_is_sent_without_a_word() -> None:
    async with front_door() as door:
        summary = await run(door.url, [b"\n"])
    assert (summary.lines, summary.trouble, door.requests) == (0, None, [])


async def test_a_file_that_cannot_be_read_on_ends_the_run_loudly() -> None:
    def torn() -> Iterator[bytes]:
        yield from lines_of(25)
        raise OSError("the disk is gone")

    async with front_door() as door:
        with pytest.raises(ExceptionGroup) as torn_up:
            await run(door.url, torn())
    assert torn_up.group_contains(OSError)


def test_a_bare_host_gets_the_usual_path() -> None:
    assert events_url("http://127.0.0.1:8080") == "http://127.0.0.1:8080/v1/events"
    assert events_url("https://c.example/") == "https://c.example/v1/events"
    assert events_url("https://c.example/in/e") == "https://c.example/in/e"


@pytest.mark.parametrize("address", ["", "localhost:8080", "ftp://host/", "http://", "http://["])
def test_what_is_no_address_is_refused_before_reading(address: str) -> None:
    with pytest.raises(Misconfigured):
        events_url(address)


def test_waits_grow_are_bounded_and_never_shorter_than_asked() -> None:
    middle = [wait_s(attempt, 0, 0.5) for attempt in range(12)]
    assert middle == sorted(middle)
    assert wait_s(0, 0, 0.0) > 0
    assert wait_s(10_000, 0, 1.0) <= 15
    assert wait_s(0, 30, 0.0) == 30
    assert 30 < wait_s(5, 30, 1.0) < 40
