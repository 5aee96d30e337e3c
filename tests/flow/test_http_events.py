"""POST /v1/events over real sockets: what is answered, and what is on the log then."""

import asyncio
import gzip
import zlib
from pathlib import Path

import brotli
import msgspec
import pytest
from backports import zstd

from tests.flow.door import (
    BROWSER,
    CONSENT,
    EVENT,
    NOW_MS,
    ORIGIN,
    SERVER,
    Answer,
    door,
    is_refusal,
)

TIMED = EVENT | {"occurred_at": "2026-11-22T09:59:00Z"}


async def test_a_single_event_is_on_the_log_when_it_is_accepted(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        answer = await front.post(TIMED)
        assert answer.status == 202
        assert answer.json == {
            "accepted": 1,
            "results": [{"event_id": "e-1", "status": "accepted", "code": None, "detail": None}],
        }
        (record,) = await front.events()
        assert (record.site, record.channel, record.event_id) == ("shop", "server", "e-1")
        assert record.received_ms == NOW_MS


async def test_a_batch_is_answered_event_by_event_in_its_order(tmp_path: Path) -> None:
    events = [
        TIMED,
        TIMED | {"event_id": "e-2", "x": 1},
        TIMED | {"event_id": "e-3", "consent": {}},
        5,
        TIMED | {"event_id": "e-5"},
    ]
    async with door(tmp_path) as front:
        answer = await front.post({"events": events, "sent_at": "2026-11-22T10:00:00Z"})
        assert answer.status == 202
        assert answer.json["accepted"] == 2
        statuses = [result["status"] for result in answer.json["results"]]
        assert statuses == ["accepted", "refused", "dropped", "refused", "accepted"]
        assert answer.codes == [None, "unknown_field", "no_consent", "wrong_type", None]
        assert [record.event_id for record in await front.events()] == ["e-1", "e-5"]
        assert front.counted("clock_skew_seconds_count") == 1


async def test_a_request_of_refused_events_only_is_answered_202(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        answer = await front.post({"events": [{}, EVENT | {"consent": {}}]})
        assert (answer.status, answer.json["accepted"]) == (202, 0)
        answer = await front.post({"events": []})
        assert (answer.status, answer.json) == (202, {"accepted": 0, "results": []})
        assert await front.on_the_log() == []


@pytest.mark.parametrize(
    "kind",
    ["", "application/json", "Application/JSON; charset=utf-8", "text/plain", "text/plain;x=y"],
)
async def test_a_body_comes_as_json_as_text_or_without_a_name(tmp_path: Path, kind: str) -> None:
    async with door(tmp_path) as front:
        headers = {"Content_Type": kind} if kind else {}
        answer = await front.post(EVENT, None, f"?key={BROWSER}", Origin=ORIGIN, **headers)
        assert (answer.status, answer.codes) == (202, [None])


@pytest.mark.parametrize("kind", ["text/html", "application/x-www-form-urlencoded", "x", "*/*"])
async def test_other_content_types_are_not_taken(tmp_path: Path, kind: str) -> None:
    async with door(tmp_path) as front:
        answer = await front.post(TIMED, Content_Type=kind)
        assert is_refusal(answer, 415, "unsupported_type")
        assert await front.on_the_log() == []


async def test_what_is_packed_once_is_unpacked_and_other_encodings_are_not_taken(
    tmp_path: Path,
) -> None:
    body = msgspec.json.encode(TIMED)
    packers = (gzip.compress, zlib.compress, brotli.compress, zstd.compress)
    async with door(tmp_path, max_body_bytes=2000) as front:
        for name, pack in zip(("GZIP", "deflate", "br", "zstd"), packers, strict=True):
            answer = await front.post(pack(body), Content_Encoding=name)
            assert (answer.status, answer.codes) == (202, [None])
        assert (await front.post(body, Content_Encoding="identity")).status == 202
        for name in ("gzip, gzip", "br,gzip", "gzip,", "x"):
            answer = await front.post(gzip.compress(gzip.compress(body)), Content_Encoding=name)
            assert is_refusal(answer, 415, "unsupported_encoding")
        answer = await front.post(body, Content_Encoding="gzip")
        assert is_refusal(answer, 400, "unreadable_body")
        bomb = gzip.compress(b" " * 10_000_000)[:2000]
        answer = await front.post(bomb, Content_Encoding="gzip")
        assert is_refusal(answer, 413, "body_too_large")


@pytest.mark.parametrize("body", [b"", b"{", b"null", b'{"name": NaN}', b"[" * 100_000, b"\xff"])
async def test_an_unreadable_body_is_400(tmp_path: Path, body: bytes) -> None:
    async with door(tmp_path) as front:
        assert is_refusal(await front.post(body), 400, "unreadable_body")
        assert front.counted("requests_total", route="events", status="400") == 1


async def test_a_body_up_to_its_bound_is_taken_and_no_byte_more(tmp_path: Path) -> None:
    async with door(tmp_path, max_body_bytes=1024, max_events=3) as front:
        whole = b'{"events": []}'
        assert (await front.post(whole + b" " * (1024 - len(whole)))).status == 202
        answer = await front.post(whole + b" " * (1025 - len(whole)))
        assert is_refusal(answer, 413, "body_too_large")
        assert (await front.post({"events": [5, 5, 5]})).status == 202
        assert is_refusal(await front.post({"events": [5] * 4}), 413, "too_many_events")


async def test_a_body_that_is_announced_too_large_is_not_waited_for(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SERVER}\r\n"
        answer = await front.raw(head.encode() + b"Content-Length: 99999999\r\n\r\n")
        assert b" 413 " in answer
        assert b"body_too_large" in answer


async def test_a_chunked_body_is_cut_off_at_its_bound(tmp_path: Path) -> None:
    async with door(tmp_path, max_body_bytes=1024) as front:
        head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SERVER}\r\n"
        chunks = b"400\r\n" + b" " * 1024 + b"\r\n"
        request = head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks
        assert b" 413 " in await front.raw(request + b"1\r\n \r\n")  # and no end yet
        answer = await front.raw(request.replace(b" " * 1024, b"[]" + b" " * 1022) + b"0\r\n\r\n")
        assert b" 400 " in answer


async def test_a_body_that_is_not_framed_as_http_asks_for_is_refused(tmp_path: Path) -> None:
    async with door(tmp_path, body_timeout_s=0.5) as front:
        head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SERVER}\r\n"
        request = head.encode() + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}"
        assert (await front.raw(request)).split()[1] in (b"400", b"408")
        assert (await front.post(TIMED)).status == 202


async def test_a_slow_body_is_given_up(tmp_path: Path) -> None:
    async with door(tmp_path, body_timeout_s=0.2) as front:
        head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SERVER}\r\n"
        answer = await front.raw(head.encode() + b'Content-Length: 100\r\n\r\n{"name"')
        assert b" 408 " in answer
        assert b'"code":"slow_request"' in answer
        assert await front.on_the_log() == []


async def test_a_client_that_leaves_in_the_middle_leaves_no_trace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    async with door(tmp_path) as front:
        head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SERVER}\r\n"
        _, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(head.encode() + b'Content-Length: 100\r\n\r\n{"name"')
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.transport.abort()
        await asyncio.sleep(0.1)
        assert (await front.post(TIMED)).status == 202
        assert front.counted("requests_total", route="events", status="500") == 0
        assert front.counted("requests_total", route="events", status="408") == 1
    assert caplog.records == []
    assert "failed" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/events", 405, "method_not_allowed"),
        ("PUT", "/v1/events", 405, "method_not_allowed"),
        ("PROPFIND", "/v1/events", 405, "method_not_allowed"),
        ("POST", "/v1/events/", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("POST", "/v2/%2e%2e/%ff", 404, "not_found"),
        ("OPTIONS", "/nowhere", 404, "not_found"),
    ],
)
async def test_what_is_not_there_says_so_in_json_and_is_counted_as_other(
    tmp_path: Path, method: str, path: str, status: int, code: str
) -> None:
    async with door(tmp_path) as front:
        url = front.url.replace("/v1/events", path)
        async with front.client.request(method, url) as response:
            answer = await Answer.of(response)
        assert is_refusal(answer, status, code)
        assert answer.headers.get("Allow") == ("POST, OPTIONS" if status == 405 else None)
        assert front.counted("requests_total", route="other", status=str(status)) == 1


async def test_events_on_one_connection_follow_each_other(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        body = b'{"name":"page_view"}'
        head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {BROWSER}\r\n"
        one = head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(one * 3 + one.replace(b"\r\nHost", b"\r\nConnection: close\r\nHost"))
        async with asyncio.timeout(5):
            answers = await reader.read()
        writer.close()
        assert answers.count(b"HTTP/1.1 202") == 4


async def test_consent_is_asked_before_anything_is_kept(tmp_path: Path) -> None:
    order = {
        "name": "purchase",
        "event_id": "o-1",
        "anonymous_id": "canary-anonymous",
        "page": {"url": "https://shop.example/?x=canary-url"},
        "consent": {"purposes": {"analytics": False}},
        "commerce": {"transaction_id": "T-1", "value": 12, "coupon": "canary-coupon"},
    }
    async with door(tmp_path, trusted_proxies=("127.0.0.0/8",)) as front:
        headers = {"User_Agent": "canary-agent", "X_Forwarded_For": "203.0.113.99"}
        assert (await front.post(order, BROWSER, **headers)).codes == [None]
        dropped = EVENT | {"consent": {"purposes": {}}, "anonymous_id": "canary-dropped"}
        assert (await front.post(dropped, BROWSER, **headers)).codes == ["no_consent"]
        allowed = EVENT | {"consent": CONSENT, "anonymous_id": "a-1"}
        assert (await front.post(allowed, BROWSER, **headers)).codes == [None]
        await front.tallies.flush(front.log, NOW_MS)
        (stripped, whole) = await front.events()
        assert (stripped.ip, stripped.user_agent, stripped.visitor) == ("", "", None)
        assert (whole.ip, whole.user_agent) == ("203.0.113.0", "canary-agent")
    written = b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))
    for canary in (b"canary-anonymous", b"canary-url", b"canary-coupon", b"canary-dropped"):
        assert canary not in written
    assert b"203.0.113.99" not in written
    assert written.count(b"canary-agent") >= 1
