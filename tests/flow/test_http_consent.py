"""POST /v1/consent: what it takes, what it refuses, and what an event meets afterwards."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spine.digest import identifier_id
from spine.errors import Unavailable
from spine.record import ConsentRecord
from tests.flow.door import BROWSER, EVENT, NOW_MS, ORIGIN, OTHER, SERVER, Door, door, is_refusal

WITHDRAW = {"action": "withdraw", "anonymous_id": "d1"}
GRANT = {"action": "grant", "anonymous_id": "d1", "purposes": {"analytics": True}}


def ticking() -> Any:
    """A clock that never says the same twice: a tie denies."""
    times: Iterator[int] = iter(range(NOW_MS, NOW_MS + 1_000_000))
    return lambda: next(times)


async def decide(front: Door, decision: object, key: str | None = SERVER, **headers: str) -> Any:
    url, front.url = front.url, front.url.replace("/v1/events", "/v1/consent")
    try:
        return await front.post(decision, key, **headers)
    finally:
        front.url = url


async def sent(front: Door, key: str = SERVER, **fields: object) -> tuple[str, str | None]:
    event = {**EVENT, "occurred_at": "2026-11-22T10:00:00Z", **fields}
    (result,) = (await front.post(event, key)).json["results"]
    return result["status"], result["code"]


async def decisions(front: Door) -> list[ConsentRecord]:
    return [one for one in await front.on_the_log() if isinstance(one, ConsentRecord)]


async def test_a_withdrawal_beats_what_events_say_at_once_and_a_later_grant_lifts_it(
    tmp_path: Path,
) -> None:
    async with door(tmp_path, now_ms=ticking()) as front:
        assert await sent(front, anonymous_id="d1") == ("accepted", None)
        answer = await decide(front, WITHDRAW)
        assert (answer.status, answer.json) == (202, {"accepted": 1})
        assert await sent(front, anonymous_id="d1") == ("dropped", "withdrawn")
        assert await sent(front, anonymous_id="d1", user_id="u1") == ("dropped", "withdrawn")
        assert await sent(front, anonymous_id="d2") == ("accepted", None)
        assert await sent(front) == ("accepted", None)
        assert await sent(front, anonymous_id="d1", consent={}) == ("dropped", "no_consent")
        assert (await decide(front, GRANT)).status == 202
        assert await sent(front, anonymous_id="d1") == ("accepted", None)
        assert await sent(front, anonymous_id="d1", consent={}) == ("dropped", "no_consent")
        assert front.counted("requests_total", route="consent", status="202") == 2
        assert front.counted("decisions_total", site="shop", action="withdraw") == 1


async def test_what_is_withdrawn_is_what_was_named(tmp_path: Path) -> None:
    async with door(tmp_path, now_ms=ticking()) as front:
        named = {**WITHDRAW, "purposes": {"ads_measurement": True}}
        assert (await decide(front, named)).status == 202
        url = "https://shop.example/?gclid=Secret"
        assert await sent(front, anonymous_id="d1", page={"url": url}) == ("accepted", None)
        record = (await front.events())[-1]
        assert record.stamp.purposes == ("analytics",)
        assert record.event.page is not None
        assert record.event.page.url == "https://shop.example/"


async def test_a_purchase_of_who_has_withdrawn_is_stripped(tmp_path: Path) -> None:
    async with door(tmp_path, now_ms=ticking()) as front:
        assert (await decide(front, WITHDRAW)).status == 202
        sale = {"transaction_id": "T1", "value": 5}
        said = await sent(front, anonymous_id="d1", name="purchase", commerce=sale)
        assert said == ("accepted", None)
        (record,) = await front.events()
        assert (record.stamp.kept, record.visitor, record.ip) == ("stripped", None, "")


async def test_a_user_withdraws_on_every_device(tmp_path: Path) -> None:
    async with door(tmp_path, now_ms=ticking()) as front:
        assert (await decide(front, {"action": "withdraw", "user_id": "u1"})).status == 202
        assert await sent(front, user_id="u1") == ("dropped", "withdrawn")
        assert await sent(front, anonymous_id="d9", user_id="u1") == ("dropped", "withdrawn")
        assert await sent(front, anonymous_id="u1") == ("accepted", None)
        both = {"action": "withdraw", "user_id": "u2", "anonymous_id": "d2"}
        assert (await decide(front, both)).status == 202
        assert await sent(front, anonymous_id="d2") == ("dropped", "withdrawn")
        assert await sent(front, user_id="u2") == ("dropped", "withdrawn")


async def test_the_proof_is_on_the_log_without_the_id(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        decision = {
            **GRANT,
            "purposes": {"analytics": True, "ads_measurement": False},
            "decided_at": "2026-11-22T09:59:00Z",
            "text_version": "banner-3.1",
        }
        assert (await decide(front, decision, BROWSER)).status == 202
        assert (await decide(front, WITHDRAW, SERVER)).status == 202
        first, second = await decisions(front)
        assert first == ConsentRecord(
            site="shop",
            channel="browser",
            kind="anonymous_id",
            subject=identifier_id("shop", "anonymous_id", "d1").hex(),
            action="grant",
            granted=("analytics",),
            denied=("ads_measurement",),
            decided_ms=NOW_MS - 60_000,
            received_ms=NOW_MS,
            text_version="banner-3.1",
        )
        assert (second.channel, second.denied, second.decided_ms) == ("server", ("*",), NOW_MS)


async def test_the_id_itself_is_nowhere(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        canary = "c4n4ry-6f2d9c1a"
        assert (await decide(front, {**WITHDRAW, "anonymous_id": canary})).status == 202
        assert (await decide(front, {**WITHDRAW, "user_id": canary, "x": canary})).status == 400
        assert len(await decisions(front)) == 1
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or canary.encode() not in path.read_bytes()


async def test_a_key_speaks_for_its_own_site_only(tmp_path: Path) -> None:
    async with door(tmp_path, now_ms=ticking()) as front:
        assert (await decide(front, WITHDRAW, OTHER)).status == 202
        assert await sent(front, anonymous_id="d1") == ("accepted", None)
        assert is_refusal(await decide(front, WITHDRAW, "bk_nobody"), 401, "unknown_key")
        foreign = await decide(front, WITHDRAW, BROWSER, Origin="https://evil.example")
        assert is_refusal(foreign, 403, "origin_not_allowed")
        own = await decide(front, WITHDRAW, BROWSER, Origin=ORIGIN)
        assert (own.status, own.headers["Access-Control-Allow-Origin"]) == (202, ORIGIN)
        assert await sent(front, anonymous_id="d1") == ("dropped", "withdrawn")


async def test_a_page_needs_no_preflight_and_gets_one_when_it_asks(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        url = f"http://127.0.0.1:{front.port}/v1/consent"
        async with front.client.options(url, headers={"Origin": ORIGIN}) as answer:
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        async with front.client.post(
            f"{url}?key={BROWSER}",
            data=msgspec.json.encode(WITHDRAW),
            headers={"Content-Type": "text/plain", "Origin": ORIGIN},
        ) as answer:
            assert answer.status == 202
        async with front.client.get(url) as answer:
            assert answer.status == 405


BAD: dict[str, tuple[object, str]] = {
    "nothing": (b"", "wrong_type"),
    "no JSON": (b"{", "wrong_type"),
    "no UTF-8": (b'{"action": "grant", "user_id": "\xff"}', "wrong_type"),
    "deep": (b"[" * 100_000, "wrong_type"),
    "a list": ([WITHDRAW], "wrong_type"),
    "nobody": ({"action": "withdraw"}, "missing_field"),
    "no action": ({"anonymous_id": "d1"}, "missing_field"),
    "another action": ({**WITHDRAW, "action": "forget"}, "wrong_type"),
    "a grant of nothing": ({"action": "grant", "anonymous_id": "d1"}, "missing_field"),
    "an empty id": ({**WITHDRAW, "anonymous_id": ""}, "empty_value"),
    "a long id": ({**WITHDRAW, "anonymous_id": "x" * 201}, "too_long"),
    "an unknown key": ({**WITHDRAW, "ip": "198.51.100.7"}, "unknown_field"),
    "no choice": ({**GRANT, "purposes": {"analytics": "yes"}}, "wrong_type"),
    "many purposes": ({**GRANT, "purposes": {f"p{n}": True for n in range(51)}}, "too_long"),
    "a purpose with room": ({**GRANT, "purposes": {"a@b.example": True}}, "bad_value"),
    "everything by its sign": ({**GRANT, "purposes": {"*": True}}, "bad_value"),
    "a text with room": ({**WITHDRAW, "text_version": "for a@b.example"}, "bad_value"),
    "a time without a zone": ({**WITHDRAW, "decided_at": "2026-11-22T10:00:00"}, "bad_time"),
}


@pytest.mark.parametrize(("body", "code"), BAD.values(), ids=BAD)
async def test_what_is_no_decision_is_refused_and_changes_nothing(
    tmp_path: Path, body: object, code: str
) -> None:
    async with door(tmp_path) as front:
        answer = await decide(front, body)
        assert is_refusal(answer, 400, "bad_decision")
        assert answer.json["detail"].startswith(f"{code}: ")
        assert await decisions(front) == []
        assert front.collector._control.subjects == 0
        assert front.counted("requests_total", route="consent", status="400") == 1


async def test_bodies_are_bounded_as_those_of_events_are(tmp_path: Path) -> None:
    async with door(tmp_path, max_body_bytes=2048) as front:
        long = {**WITHDRAW, "purposes": {"x" * 64: True}, "text_version": "y" * 3000}
        assert is_refusal(await decide(front, long), 413, "body_too_large")
        wrong = await decide(front, WITHDRAW, Content_Type="application/xml")
        assert is_refusal(wrong, 415, "unsupported_type")


async def test_a_decision_that_cannot_be_proven_is_not_answered_as_taken(tmp_path: Path) -> None:
    async with door(tmp_path, now_ms=ticking()) as front:
        front.log.away = Unavailable("away", 3)
        answer = await decide(front, WITHDRAW)
        assert is_refusal(answer, 503, "log_unavailable")
        assert answer.headers["Retry-After"] == "3"
        front.log.away = None
        # It is in force all the same: what was asked for is not undone because its proof failed.
        assert await sent(front, anonymous_id="d1") == ("dropped", "withdrawn")
        assert (await decide(front, WITHDRAW)).status == 202
        assert len(await decisions(front)) == 1


async def test_while_the_control_log_is_out_of_reach_only_what_needs_no_consent_is_taken(
    tmp_path: Path,
) -> None:
    async with door(tmp_path, withdrawals_max_age_s=0.3) as front:
        sale = {
            **EVENT,
            "name": "purchase",
            "occurred_at": "2026-11-22T10:00:00Z",
            "commerce": {"transaction_id": "T1", "value": 5},
            "consent": {},
        }
        front.collector._control._log.end = _away  # type: ignore[method-assign]
        await asyncio.sleep(1.0)
        answer = await front.post({**EVENT, "occurred_at": "2026-11-22T10:00:00Z"})
        assert is_refusal(answer, 503, "consent_unknown")
        assert answer.headers["Retry-After"] == "1"
        with pytest.raises(Unavailable, match="control log"):
            await front.collector.ready()
        assert (await front.post(sale)).json["accepted"] == 1
        bare = {**EVENT, "occurred_at": "2026-11-22T10:00:00Z", "consent": {}}
        assert (await front.post(bare)).codes == ["no_consent"]
        mixed = await front.post(
            {"events": [sale, {**EVENT, "occurred_at": "2026-11-22T10:00:00Z"}]}
        )
        assert mixed.status == 503
        assert (await decide(front, GRANT)).status == 503
        assert (await decide(front, WITHDRAW)).status == 202, "a withdrawal needs no knowledge"
        del front.collector._control._log.end
        async with asyncio.timeout(60):
            while (
                await front.post({**EVENT, "occurred_at": "2026-11-22T10:00:00Z"})
            ).status != 202:
                await asyncio.sleep(0.05)


async def _away() -> int:
    raise Unavailable("away")
