"""GET /v1/pixel.gif over real sockets: always the image, and on the log what the event was."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

import pytest

from collector.pixel import PIXEL
from spine.errors import Unavailable
from spine.record import TallyRecord
from tests.flow.door import BROWSER, NOW_MS, ORIGIN, OTHER, SERVER, Answer, Door, door

EVENT = {"name": "page_view", "event_id": "e-1", "page.url": "https://shop.example/?a=1"}
GRANTED = {"consent": "analytics,ads_measurement"}


async def asked(front: Door, query: Mapping[str, str] | str, **headers: str) -> Answer:
    text = query if isinstance(query, str) else urlencode(query)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    url = front.url.replace("/v1/events", f"/v1/pixel.gif?{text}")
    async with front.client.get(url, headers=named) as response:
        answer = await Answer.of(response)
    assert answer.body == PIXEL
    assert answer.headers["Content-Type"] == "image/gif"
    assert answer.headers["Cache-Control"] == "no-store, max-age=0"
    return answer


async def tallied(front: Door) -> list[tuple[str, str, str, int]]:
    await front.tallies.flush(front.log, NOW_MS)
    tallies = [record for record in await front.on_the_log() if isinstance(record, TallyRecord)]
    return [(row.status, row.code, row.name, row.count) for tally in tallies for row in tally.rows]


async def test_an_accepted_event_is_durable_before_the_image_comes(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        answer = await asked(front, {"key": BROWSER} | EVENT | GRANTED)
        assert answer.status == 200
        (record,) = await front.events()
        assert (record.channel, record.event.name, record.stamp.kept) == (
            "browser",
            "page_view",
            "whole",
        )
        assert record.event.page is not None
        assert record.event.page.url == "https://shop.example/?a=1"
        assert record.stamp.purposes == ("ads_measurement", "analytics")
        # The same event as JSON is a copy of it.
        same = {
            "name": "page_view",
            "event_id": "e-1",
            "page": {"url": "https://shop.example/?a=1"},
        }
        await front.post(
            same | {"consent": {"purposes": {"analytics": True, "ads_measurement": True}}},
            None,
            f"?key={BROWSER}",
        )
        first, second = await front.events()
        assert (first.identity, first.body) == (second.identity, second.body)


@pytest.mark.parametrize(
    ("query", "tally"),
    [
        (EVENT, ("dropped", "no_consent", "page_view", 1)),
        (EVENT | {"consent": "ads_measurement"}, ("dropped", "no_consent", "page_view", 1)),
        (EVENT | {"consent.purposes.analytics": "yes"}, ("dropped", "no_consent", "page_view", 1)),
        (EVENT | GRANTED | {"gcs": "G100"}, ("dropped", "no_consent", "page_view", 1)),
        (EVENT | GRANTED | {"foo": "1"}, ("refused", "unknown_field", "(unreadable)", 1)),
        (EVENT | GRANTED | {"ip": "192.0.2.1"}, ("refused", "not_allowed", "page_view", 1)),
        (EVENT | GRANTED | {"title": "x" * 8192}, ("refused", "too_long", "(unreadable)", 1)),
        (GRANTED, ("refused", "missing_field", "(unreadable)", 1)),
    ],
)
async def test_what_is_not_kept_is_counted_and_looks_the_same(
    query: dict[str, str], tally: tuple[str, str, str, int], tmp_path: Path
) -> None:
    async with door(tmp_path) as front:
        assert (await asked(front, {"key": BROWSER} | query)).status == 200
        assert await front.events() == []
        assert await tallied(front) == [tally]
        labels = {"site": "shop", "status": tally[0], "code": tally[1]}
        assert front.counted("events_total", **labels) == 1
        assert front.counted("requests_total", route="pixel", status="200") == 1


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        (EVENT, {}, 401),
        (EVENT | {"key": "bk_nobody"}, {}, 401),
        (EVENT | {"key": SERVER}, {}, 401),
        (EVENT, {"Authorization": f"Bearer {SERVER}"}, 401),
        (EVENT | {"key": BROWSER}, {"Origin": "https://evil.example"}, 403),
        (EVENT | {"key": OTHER}, {"Origin": ORIGIN}, 403),
    ],
)
async def test_who_may_not_send_gets_the_image_too(
    query: dict[str, str], headers: dict[str, str], status: int, tmp_path: Path
) -> None:
    async with door(tmp_path) as front:
        assert (await asked(front, query | GRANTED, **headers)).status == status
        assert await front.on_the_log() == []
        assert front.counted("requests_total", route="pixel", status=str(status)) == 1


async def test_an_event_that_is_not_durable_is_no_success(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        front.log.away = Unavailable("the log is away", retry_after_s=2)
        answer = await asked(front, {"key": BROWSER} | EVENT | GRANTED)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")


async def test_a_page_may_read_the_image_where_it_may_send(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        answer = await asked(front, {"key": BROWSER} | EVENT | GRANTED, Origin=ORIGIN)
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS", "PUT"])
async def test_only_getting_it_counts(method: str, tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        url = front.url.replace(
            "/v1/events", f"/v1/pixel.gif?key={BROWSER}&name=x&consent=analytics"
        )
        async with front.client.request(method, url) as response:
            assert (response.status, response.headers["Allow"]) == (405, "GET")
        assert await front.on_the_log() == []


@pytest.mark.parametrize(
    "query",
    [
        b"key=" + BROWSER.encode() + b"&name=%ff%fe&consent=analytics",
        b"key=" + BROWSER.encode() + b"&name=x\xff&consent=analytics&page.title=%ed%a0%80",
        b"key=" + BROWSER.encode() + b"&name=x&consent=analytics&properties.%00=%0d%0a",
        b"key=" + BROWSER.encode() + b"&%=&=&&&;=;&name=x&consent=analytics",
        b"key=" + BROWSER.encode() + b"&name=x&consent=" + b"a," * 3000,
        b"key=" + BROWSER.encode() + b"&name=x" + b"&a.b=1" * 1000,
        b"key=" + BROWSER.encode() + b"&name=x&" + b"a." * 3000 + b"=1",
    ],
)
async def test_a_query_that_is_meant_to_hurt_gets_the_image(query: bytes, tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        request = b"GET /v1/pixel.gif?" + query + b" HTTP/1.1\r\nHost: x\r\n\r\n"
        answer = await front.raw(request)
        status = answer.split(b" ", 2)[1]
        assert status == b"400" or (status == b"200" and answer.endswith(PIXEL))
        assert (await asked(front, {"key": BROWSER} | EVENT | GRANTED)).status == 200
        assert front.counted("requests_total", route="pixel", status="500") == 0
