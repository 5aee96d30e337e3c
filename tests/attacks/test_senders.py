"""Attacks with what a sender says of itself, and with how many there are."""

import asyncio
import gc
import logging
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from collector.head import head_of
from collector.observe import client_address, truncated
from consent_rules.decide import decide
from consent_rules.rules import load
from consent_rules.standing import NOTHING
from processors.enrichment.campaign import touch
from processors.enrichment.client import client
from spine.event import Event
from spine.record import TallyRecord
from spine.record import decode as decode_record
from tests.attacks.wire import BODY, KEY, connect, head, reply_to, request
from tests.flow.door import BROWSER, CONSENT, EVENT, ORIGIN, door

TOLD_BY_BROWSERS = ("User-Agent", "Sec-CH-UA", "Sec-CH-UA-Mobile", "Sec-CH-UA-Platform")
PROXIES = [ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8")]


async def test_an_address_that_a_stranger_forwards_is_not_believed(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        forged = request(BODY, b"X-Forwarded-For: 203.0.113.7", b"X-Real-IP: 203.0.113.7")
        assert (await reply_to(front.port, forged)).status == 202
        (event,) = await front.events()
        assert event.ip == "127.0.0.0"


@pytest.mark.parametrize("hop", ["10.0.0.1", "::1", "x", "127.0.0.1%eth0", "1" * 1000, ""])
def test_a_list_of_addresses_without_end_costs_nothing(hop: str) -> None:
    forwarded = ",".join([hop] * 100_000)
    began_at = time.process_time()
    client_address("127.0.0.1", forwarded, PROXIES)
    assert time.process_time() - began_at < 0.2


@given(st.text(), st.text())
def test_whatever_stands_for_an_address_it_is_cut_or_nothing(peer: str, forwarded: str) -> None:
    ip_network(truncated(client_address(peer, forwarded, PROXIES)) or "0.0.0.0")


@given(st.binary())
def test_no_bytes_on_the_log_make_reading_a_record_raise(value: bytes) -> None:
    decode_record(value)


ORIGINS = {
    "foreign": b"https://evil.example",
    "null": b"null",
    "a longer one": b"https://shop.example.evil.example",
    "another port": b"https://shop.example:8443",
    "another scheme": b"http://shop.example",
    "in user info": b"https://shop.example@evil.example",
    "of another site": b"https://other.example",
    "with a path": b"https://shop.example/",
    "two": b"https://shop.example, https://evil.example",
    "any": b"*",
    "empty": b"",
}


@pytest.mark.parametrize("origin", ORIGINS.values(), ids=ORIGINS)
async def test_no_origin_is_reflected_that_is_not_the_sites(tmp_path: Path, origin: bytes) -> None:
    asks = head(b"Origin: " + origin, start=f"OPTIONS /v1/events?key={BROWSER} HTTP/1.1".encode())
    async with door(tmp_path) as front:
        for content in (request(BODY, b"Origin: " + origin), asks):
            answer = await reply_to(front.port, content)
            assert answer.status in (204, 403)
            assert answer.headers["vary"] == "Origin"
            assert not [name for name in answer.headers if name.startswith("access-control")]
        assert await front.on_the_log() == []


async def test_preflights_without_end_leave_nothing_behind(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        wire = await connect(front.port)
        series = len(front.metrics.exposition())
        for number in range(700):
            await wire.send(
                head(b"Origin: https://%d.example" % number, start=b"OPTIONS /v1/events HTTP/1.1")
            )
            assert (await wire.reply()).status == 204
        wire.close()
        assert len(front.metrics.exposition()) < series + 1000


async def test_a_network_that_guesses_keys_is_told_to_wait_and_a_known_key_is_served(
    tmp_path: Path,
) -> None:
    async with door(tmp_path, unknown_keys_per_minute=5) as front:
        guess = request().replace(KEY, b"Authorization: Bearer sk_guess_12345678\r\n")
        answers = [await reply_to(front.port, guess) for _ in range(8)]
        assert [answer.status for answer in answers] == [401] * 5 + [429] * 3
        assert answers[-1].code == "too_many_unknown_keys"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 13
        assert (await reply_to(front.port, request())).status == 202


async def test_names_and_visitors_without_end_make_no_metric_and_no_tally_of_their_own(
    tmp_path: Path,
) -> None:
    async with door(tmp_path) as front:
        await front.post(
            {"events": [{"name": "n"}, {"name": "n", "consent": EVENT["consent"]}]}, BROWSER
        )
        before = front.metrics.exposition().count(b"\n")
        for batch in range(20):
            events = [
                {
                    "name": f"n{batch}-{n}",
                    "anonymous_id": f"v{n}",
                    "consent": EVENT["consent"] if n % 2 else {},
                }
                for n in range(500)
            ]
            assert (await front.post({"events": events}, BROWSER)).status == 202
        assert front.metrics.exposition().count(b"\n") == before
        await front.tallies.flush(front.log, 0)
        written = [decode_record(one.value) for one in await front.log.read(0, 0, 9_999)]
        tallies = [record for record in written if isinstance(record, TallyRecord)]
        (told,) = [row for tally in tallies for row in tally.rows]
        assert (told.code, told.name, told.count) == ("no_consent", "(custom)", 5_001)


def test_addresses_without_end_do_not_grow_what_is_remembered() -> None:
    for number in range(20_000):
        truncated(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert truncated.cache_info().currsize <= 8192


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """Tell meanwhile how many bytes Python's objects hold."""

    def held_bytes() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        yield held_bytes
    finally:
        tracemalloc.stop()


def test_consents_without_end_do_not_grow_what_is_remembered() -> None:
    rules = load("eu")
    padding = " " * 100_000

    def decided(numbers: range) -> None:
        for number in numbers:
            for said in (padding, ""):
                consent = f'{{"purposes":{{"analytics":true}},"decided_at":{number}}}{said}'
                decide(rules, Event(name="purchase", consent=Raw(consent.encode())), NOTHING, 0)

    with traced() as held_bytes:
        decided(range(500))
        before = held_bytes()
        decided(range(500, 1000))
        assert held_bytes() - before < 20e6  # 100e6 if all were remembered


def test_agents_and_hints_without_end_do_not_grow_what_is_remembered() -> None:
    def met(numbers: range) -> None:
        for number in numbers:
            said = dict.fromkeys(TOLD_BY_BROWSERS, f"{number:06}" + "😀" * 7000)
            head_of(CIMultiDictProxy(CIMultiDict(said)), URL("/v1/events"))

    with traced() as held_bytes:
        met(range(500))
        before = held_bytes()
        met(range(500, 1_000))
        assert held_bytes() - before < 5e6  # 50e6 if they were remembered as sent


async def test_a_crowd_of_visitors_at_one_address_does_not_grow_a_collector(tmp_path: Path) -> None:
    async with door(tmp_path, max_events=1000) as front:
        # More than anything remembers, and then as many again.
        async def visit(first: int, last: int) -> None:
            for start in range(first, last, 1000):
                events = [
                    {
                        "name": "page_view",
                        "anonymous_id": f"{number:0200}",
                        "page": {"url": f"{ORIGIN}/{number}"},
                        "consent": CONSENT | {"decided_at": f"2026-11-22T10:00:00.{number:06}Z"},
                    }
                    for number in range(start, start + 1000)
                ]
                agent = f"{start:030000}"
                answer = await front.post({"events": events}, BROWSER, User_Agent=agent)
                # Traced, it is so slow that it may not know for 2 s what was withdrawn.
                while answer.status == 503:
                    await asyncio.sleep(0.1)
                    answer = await front.post({"events": events}, BROWSER, User_Agent=agent)
                assert answer.json["accepted"] == 1000

        with traced() as held_bytes:
            await visit(0, 9_000)
            before = held_bytes()
            await visit(9_000, 18_000)
            # 30e6 if all were remembered; it goes up and down, as half of it is let go of at once.
            assert held_bytes() - before < 15e6


NASTY = '\n{"event":"forged"}\r\n\x1b[31mred\x1b]0;title\x07\u2028' + "x" * 1000


async def test_nothing_that_was_sent_is_in_a_log_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with door(tmp_path) as front:
        for field in ("name", "event_id", "anonymous_id", "user_id", "occurred_at", NASTY):
            await front.post(EVENT | {field: NASTY}, BROWSER)
        front.log.away = RuntimeError(NASTY)
        assert (await front.post(EVENT, BROWSER)).status == 500
        front.log.away = None
        for content in (
            b"forged \x1b[31mforged\r\n\r\n",
            head(start=b"GET /forged%0aforged HTTP/1.1"),
            head(b"User-Agent: forged\x1b[31m", b"Content-Length: x"),
            head(b"Origin: forged\x1b[31m"),
            request(b"\x1b[31mforged"),
            request(BODY).replace(KEY, b"Authorization: Bearer forged\x1b[31m\r\n"),
        ):
            await reply_to(front.port, content)
    said = "".join(capsys.readouterr()) + caplog.text
    assert "RuntimeError" in said  # lines are written, and say what the bug was
    for never in ("forged", "\x1b[31mred", "title", "xxxxx", BROWSER, ORIGIN):
        assert never not in said


def test_pages_and_agents_without_end_do_not_grow_a_processor() -> None:
    def judged(numbers: range) -> None:
        for number in numbers:
            made_up = f"https://x{number}.example/?utm_source=" + "\U0001f600" * 900
            touch(made_up, made_up, frozenset({"shop.example"}))
            client(made_up, "")

    with traced() as held_bytes:
        judged(range(500))
        before = held_bytes()
        judged(range(500, 1_000))
        assert held_bytes() - before < 2e6  # 6e6 if they were remembered
