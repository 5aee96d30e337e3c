"""Which page may send, and what its browser is told."""

from pathlib import Path

import pytest

from spine.errors import Unavailable
from tests.flow.door import BROWSER, EVENT, ORIGIN, OTHER, SERVER, Answer, Door, door

FOREIGN = (
    "https://evil.example", "null", "", "http://shop.example", "https://shop.example.evil.example",
    "https://shop.example:8443", "https://shop.example/", "https://www.shop.example", "*",
    "https://other.example",
)  # fmt: skip


def allowed(answer: Answer, origin: str) -> bool:
    assert answer.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    if answer.headers.get("Access-Control-Allow-Origin") != origin:
        return False
    return answer.headers["Access-Control-Expose-Headers"] == "Retry-After"


async def ask_first(front: Door, origin: str, query: str = "") -> Answer:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    async with front.client.options(front.url + query, headers=headers) as response:
        return await Answer.of(response)


@pytest.mark.parametrize("origin", [ORIGIN, "http://localhost:3000"])
async def test_an_own_page_may_send_and_read_every_answer(tmp_path: Path, origin: str) -> None:
    async with door(tmp_path, max_body_bytes=1024, max_in_flight_bytes=65536) as front:
        for body, headers, status in (
            (EVENT, {}, 202),
            (b"{", {}, 400),
            (b" " * 2000, {}, 413),
            (EVENT, {"Content_Type": "text/html"}, 415),
            (EVENT, {"Content_Encoding": "x"}, 415),
        ):
            answer = await front.post(body, None, f"?key={BROWSER}", Origin=origin, **headers)
            assert answer.status == status
            assert allowed(answer, origin)
        front.log.away = Unavailable("away")
        answer = await front.post(EVENT, BROWSER, Origin=origin)
        assert answer.status == 503
        assert allowed(answer, origin)
        front.log.away = RuntimeError("a bug")
        answer = await front.post(EVENT, BROWSER, Origin=origin)
        assert answer.status == 500
        assert allowed(answer, origin)


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("key", [BROWSER, SERVER])
async def test_a_foreign_page_may_not(tmp_path: Path, key: str, origin: str) -> None:
    async with door(tmp_path) as front:
        answer = await front.post(EVENT, key, Origin=origin)
        assert (answer.status, answer.json["code"]) == (403, "origin_not_allowed")
        assert answer.headers["Vary"] == "Origin"
        assert not [name for name in answer.headers if name.startswith("Access-Control")]
        assert origin in ("", "*", "null") or origin.encode() not in answer.body
        assert await front.on_the_log() == []
        assert front.counted("requests_total", route="events", status="403") == 1


async def test_an_origin_is_compared_without_case_and_echoed_as_sent(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        answer = await front.post(EVENT, BROWSER, Origin="https://Shop.Example")
        assert answer.status == 202
        assert allowed(answer, "https://Shop.Example")


async def test_what_is_no_page_needs_no_origin(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        for key in (BROWSER, SERVER):
            answer = await front.post(EVENT | {"occurred_at": "2026-11-22T09:59:00Z"}, key)
            assert answer.status == 202
            assert answer.headers["Vary"] == "Origin"
            assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("query", ["", f"?key={BROWSER}"])
async def test_a_preflight_of_an_own_page_is_granted(tmp_path: Path, query: str) -> None:
    async with door(tmp_path) as front:
        answer = await ask_first(front, ORIGIN, query)
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["Access-Control-Allow-Methods"] == "POST"
        granted = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
        assert {"authorization", "content-type", "content-encoding"} == set(granted)
        assert int(answer.headers["Access-Control-Max-Age"]) > 0
        assert answer.headers["Vary"] == "Origin"
        assert front.counted("requests_total", route="preflight", status="204") == 1


@pytest.mark.parametrize(
    ("origin", "query"),
    [
        *[(origin, f"?key={BROWSER}") for origin in FOREIGN],
        ("https://evil.example", ""),
        ("null", ""),
        ("", ""),
        (ORIGIN, f"?key={OTHER}"),
        (ORIGIN, "?key=bk_unknown"),
        (ORIGIN, "?key="),
    ],
)
async def test_a_preflight_of_a_foreign_page_is_not(
    tmp_path: Path, origin: str, query: str
) -> None:
    async with door(tmp_path) as front:
        answer = await ask_first(front, origin, query)
        assert answer.status == 204
        assert answer.headers["Vary"] == "Origin"
        assert not [name for name in answer.headers if name.startswith("Access-Control")]
