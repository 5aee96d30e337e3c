"""Who sends: keys, addresses and headers, and how little of them is believed."""

import base64
from pathlib import Path

import pytest

from tests.flow.door import BROWSER, EVENT, ORIGIN, SERVER, Door, door, is_refusal

TIMED = EVENT | {"occurred_at": "2026-11-22T09:59:00Z"}


async def unauthorized(front: Door, key: str | None, query: str = "", **headers: str) -> bool:
    answer = await front.post(TIMED, key, query, **headers)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "Access-Control-Allow-Origin" not in answer.headers
    return is_refusal(answer, 401, "unknown_key")


async def test_without_a_known_key_nothing_is_taken(tmp_path: Path) -> None:
    basic = base64.b64encode(f"{SERVER}:".encode()).decode()
    async with door(tmp_path) as front:
        assert await unauthorized(front, None)
        assert await unauthorized(front, "sk_wrong")
        assert await unauthorized(front, SERVER + "x")
        assert await unauthorized(front, None, "?key=")
        assert await unauthorized(front, None, "?key=bk_wrong")
        assert await unauthorized(front, None, f"?key={SERVER}")  # never in a URL
        assert await unauthorized(front, None, f"?key={BROWSER}%00")
        assert await unauthorized(front, None, "?key=%ff%ed%a0%80")
        assert await unauthorized(front, None, Authorization=f"Basic {basic}")
        assert await unauthorized(front, None, Authorization=SERVER)
        assert await unauthorized(front, None, Authorization="Bearer")
        assert await unauthorized(front, "sk_wrong", f"?key={BROWSER}")
        assert await unauthorized(front, None, Origin=ORIGIN)
        assert await front.on_the_log() == []
        assert front.counted("requests_total", route="events", status="401") == 13
        raw = b"POST /v1/events?key=\xff HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
        for line in (b"", b"Authorization: Bearer \xff\xfe\r\n"):
            assert (await front.raw(raw + line + b"\r\n")).split()[1] in (b"400", b"401")


async def test_keys_come_in_the_header_or_for_pages_in_the_query(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        assert (await front.post(TIMED, SERVER)).status == 202
        assert (await front.post(TIMED, BROWSER)).status == 202
        assert (await front.post(TIMED, None, f"?key={BROWSER}")).status == 202
        assert (await front.post(TIMED, None, Authorization=f"bearer  {SERVER} ")).status == 202
        channels = [record.channel for record in await front.events()]
        assert channels == ["server", "browser", "browser", "server"]


async def test_hostile_headers_are_kept_short_or_not_at_all(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        body = b'{"name":"page_view","consent":{"purposes":{"analytics":true}}}'
        head = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + BROWSER.encode()
        head += f"\r\nContent-Length: {len(body)}\r\n".encode()
        long = head + b"User-Agent: " + b"x" * 5000 + b"\r\n\r\n" + body
        odd = head + b"User-Agent: caf\xe9 \xff\xc3\xbc\r\nReferer: \xff\r\n\r\n" + body
        split = head + b"Origin: https://shop.example\rX-Bad: 1\r\n\r\n" + body
        huge = head + b"User-Agent: " + b"x" * 100_000 + b"\r\n\r\n" + body
        assert b" 202 " in await front.raw(long)
        assert b" 202 " in await front.raw(odd)
        for request in (split, huge):
            answer = await front.raw(request)
            assert answer.split()[1] in (b"400", b"403", b"431")
            assert b"Access-Control-Allow-Origin" not in answer
        agents = [record.user_agent for record in await front.events()]
        assert agents == ["x" * 1000, "caf\ufffd \ufffdü"]


@pytest.mark.parametrize(
    ("trusted", "forwarded", "kept"),
    [
        ((), "198.51.100.77", "127.0.0.0"),
        (("127.0.0.0/8",), None, "127.0.0.0"),
        (("127.0.0.0/8",), "198.51.100.77", "198.51.100.0"),
        (("127.0.0.0/8",), "203.0.113.9, 198.51.100.77", "198.51.100.0"),
        (("127.0.0.0/8", "10.0.0.0/8"), "198.51.100.77, 10.1.2.3", "198.51.100.0"),
        (("127.0.0.0/8",), "2001:db8:1:2:3::4", "2001:db8:1::"),
        (("127.0.0.0/8",), "::ffff:198.51.100.77", "198.51.100.0"),
        (("127.0.0.0/8",), "unknown", ""),
        (("127.0.0.0/8",), ", ,", "127.0.0.0"),
    ],
)
async def test_an_address_is_believed_from_trusted_proxies_and_cut_in_any_case(
    tmp_path: Path, trusted: tuple[str, ...], forwarded: str | None, kept: str
) -> None:
    async with door(tmp_path, trusted_proxies=trusted) as front:
        headers = {"X_Forwarded_For": forwarded} if forwarded is not None else {}
        assert (await front.post(EVENT, BROWSER, **headers)).status == 202
        (record,) = await front.events()
        assert record.ip == kept
