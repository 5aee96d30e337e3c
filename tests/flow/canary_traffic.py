"""What senders and browsers put at the collector's public listener, by every way there is, with a
canary in every place that has room for one."""

import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp
import brotli
import zstandard

from tests.canary import Canaries
from tests.flow.houses import BROWSER_KEY, ORIGIN, SERVER_KEY, House

SERVER = {"Authorization": f"Bearer {SERVER_KEY}", "Content-Type": "application/json"}
BROWSER = {"Content-Type": "text/plain", "Origin": ORIGIN}
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda body: brotli.compress(body, quality=4),
    "zstd": zstandard.compress,
}


def event(canaries: Canaries, event_id: str, name: str = "page_view") -> dict[str, Any]:
    """An event about which nothing was said; its id and its money may be kept, nothing else."""
    told: dict[str, Any] = {
        "event_id": event_id,
        "name": name,
        "occurred_at": "2026-01-01T00:00:00Z",
        "anonymous_id": canaries.sing(),
        "user_id": canaries.mail(),
        "identifiers": {"crm_id": canaries.sing()},
        "page": {
            "url": canaries.sing(f"{ORIGIN}/?q={{}}"),
            "referrer": canaries.sing("https://r.example/?mail=max%2B{}%40canary.example"),
            "title": canaries.mail(),
        },
        "properties": {"note": canaries.mail(), canaries.sing(): 1},
        "user_agent": canaries.sing("Mozilla/5.0 ({}; Linux) Chrome/1"),
        "ip": canaries.address,
    }
    if name == "purchase":
        told["commerce"] = {
            "transaction_id": f"t-{event_id}",
            "value": 5,
            "coupon": canaries.sing(),
            "items": [{"item_id": "i", "item_name": canaries.sing(), "price": 5}],
        }
    return told


def allowed(canaries: Canaries, event_id: str, name: str = "page_view") -> dict[str, Any]:
    return event(canaries, event_id, name) | {
        "consent": {"purposes": {"analytics": True, "ads_measurement": True}}
    }


def forbidden(canaries: Canaries, number: int) -> dict[str, Any]:
    """An event without consent, in many of the ways in which there can be none."""
    told = event(canaries, f"no-{number}", "purchase" if number % 4 == 1 else "page_view")
    if number % 4 == 0:
        told["event_id"] = canaries.sing()
    if number % 4 == 3:
        told["name"] = canaries.sing("n{}")
    if number % 3 == 1:
        told["consent"] = {"purposes": {"analytics": False}, "tcf": canaries.sing()}
    if number % 3 == 2:
        told["consent"] = [canaries.sing()]
    if number % 8 == 3:
        told[canaries.sing()] = canaries.sing()  # refused, with its name
    if number % 8 == 7:
        told["occurred_at"] = canaries.sing()
    return told


def clicked(canaries: Canaries, number: int) -> dict[str, Any]:
    """An event with consent for statistics only: its click ids may not be kept."""
    return {
        "event_id": f"yes-{number}",
        "name": "page_view",
        "occurred_at": "2026-01-01T00:00:00Z",
        "anonymous_id": f"device-{number}",
        "page": {
            "url": f"{ORIGIN}/?gclid={canaries.sing()}&a=1#fbclid={canaries.sing()}",
            "referrer": f"https://x.example/?u=https%3A%2F%2Fy%2F%3Fmsclkid%3D{canaries.sing()}",
        },
        "properties": {"gclid": canaries.sing()},
        "consent": {"purposes": {"analytics": True}},
    }


def cookies(canaries: Canaries, choice: str) -> str:
    """What consent tools keep in a browser, of two years ago, with the visitor's number of each."""
    return (
        f"CookieConsent={{stamp:%27{canaries.sing()}%27%2Cnecessary:true%2Cpreferences:false%2C"
        f"statistics:{choice}%2Cmarketing:false%2Cmethod:%27explicit%27%2Cutc:1704067200000}}; "
        f"OptanonConsent=consentId={canaries.sing()}&groups=C0001:1,C0002:1; "
        f"OptanonAlertBoxClosed=2024-01-01T00:00:00Z; session={canaries.sing()}; "
        f"euconsent-v2={canaries.sing()}"
    )


def heads(canaries: Canaries) -> dict[str, str]:
    """Headers as browsers and proxies send them."""
    return {
        "User-Agent": canaries.sing("Mozilla/5.0 ({}; Linux) Chrome/1"),
        "Sec-CH-UA": canaries.sing('"{}";v="1"'),
        "Sec-CH-UA-Platform": canaries.sing('"{}"'),
        "Referer": canaries.sing(f"{ORIGIN}/?u={{}}"),
        "X-Forwarded-For": f"{canaries.old_address}, {canaries.address}",
        "X-Real-IP": canaries.address,
        "From": canaries.mail(),
        canaries.sing("X-{}"): canaries.sing(),
        "Cookie": cookies(canaries, "false"),
    }


class Sender:
    """Sends to one collector, and counts what was answered."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self.statuses: dict[int, int] = {}

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = SERVER,
    ) -> int:
        """Send, and give the status, or 0 where nobody answered."""
        try:
            asking = self._session.request(method, self._url + path, data=body, headers={**headers})
            async with asking as answer:
                await answer.read()
                status = answer.status
        except aiohttp.ClientError:
            status = 0
        self.statuses[status] = self.statuses.get(status, 0) + 1
        return status

    async def events(self, *events: object, **headers: str) -> int:
        body = json.dumps({"events": events}).encode()
        return await self.send("POST", "/v1/events", body, SERVER | headers)


@asynccontextmanager
async def sender(house: House) -> AsyncIterator[Sender]:
    async with aiohttp.ClientSession() as session:
        yield Sender(session, house.url)


async def by_every_way(to: Sender, canaries: Canaries, events: list[dict[str, Any]]) -> None:
    """Send events without consent in one body and one by one, packed, readable and not, with the
    right key, another and none, by the pixel, as decisions, to paths that are not there."""
    body = json.dumps({"events": events}).encode()
    query = f"?gdpr_consent={canaries.sing()}&gpp={canaries.sing()}&utm={canaries.sing()}"
    assert await to.send("POST", f"/v1/events{query}", body, SERVER | heads(canaries)) == 202
    for choice in ("true", "false"):
        assert await to.events(*events, Cookie=cookies(canaries, choice)) == 202
    for name, packed in PACKED.items():
        head = SERVER | {"Content-Encoding": name}
        assert await to.send("POST", "/v1/events", packed(body), head) == 202
        assert await to.send("POST", "/v1/events", packed(body)[:-9], head) == 400
    for one in events[:8]:
        single = json.dumps(one).encode()
        assert await to.send("POST", "/v1/events", single, SERVER | heads(canaries)) == 202
        beacon = f"/v1/events?key={BROWSER_KEY}"
        assert await to.send("POST", beacon, single, BROWSER | heads(canaries)) == 202
        await _by_pixel(to, canaries, one)
    await _not_as_one_should(to, canaries, body)


async def _by_pixel(to: Sender, canaries: Canaries, one: dict[str, Any]) -> None:
    seen = {name: value for name, value in one.items() if isinstance(value, str)}
    seen |= {"page.title": canaries.mail(), "gcd": canaries.sing(), canaries.sing(): "1"}
    pixel = "&".join(f"{name}={quote(value)}" for name, value in seen.items())
    for key, status in ((BROWSER_KEY, 200), (canaries.sing("bk_{}"), 401)):
        head = {"Origin": ORIGIN, **heads(canaries)}
        assert await to.send("GET", f"/v1/pixel.gif?key={key}&{pixel}", None, head) == status


async def _not_as_one_should(to: Sender, canaries: Canaries, body: bytes) -> None:
    head = SERVER | heads(canaries)
    assert await to.send("POST", "/v1/events", body[:-2], head) == 400
    assert await to.send("POST", "/v1/events", canaries.mail().encode(), head) == 400
    wrong = head | {"Authorization": canaries.sing("Bearer sk_{}")}
    assert await to.send("POST", "/v1/events", body, wrong) == 401
    foreign = heads(canaries) | {"Origin": canaries.sing("https://{}.example")}
    assert await to.send("POST", f"/v1/events?key={BROWSER_KEY}", body, foreign) == 403
    for name in ("Content-Encoding", "Content-Type"):
        odd = head | {name: canaries.sing("x/{}")}
        assert await to.send("POST", "/v1/events", body, odd) == 415
    for decision in (
        {"anonymous_id": canaries.sing(), "action": canaries.sing()},
        {"anonymous_id": canaries.sing(), canaries.sing(): canaries.mail()},
        {"user_id": [canaries.mail()], "action": "withdraw"},
        [canaries.sing()],
    ):
        said = json.dumps(decision).encode()
        assert await to.send("POST", "/v1/consent", said, head) == 400
        assert await to.send("POST", "/v1/consent", said[:-1], head) == 400
        assert await to.send("POST", "/v1/consent", said, wrong) == 401
    for method in ("GET", "POST", "PUT", "OPTIONS", "DELETE"):
        for path in (f"/{canaries.sing()}", f"/v1/events/{canaries.mail()}?ip={canaries.address}"):
            assert await to.send(method, path, body if method == "POST" else None, head) in (
                404, 405,
            )  # fmt: skip
