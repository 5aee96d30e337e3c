"""What a request carries about consent decides about its events, and leaves only its proof."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.flow.door import BROWSER, NOW_MS, SERVER, door
from tests.unit.consent_rules.signals.tc_encoder import encoded

VISITOR = "visitor-canary-77aa"
DAY_MS = 86_400_000
YES = encoded(created_ms=NOW_MS - DAY_MS, consents={1, 8, 9})
NO = encoded(created_ms=NOW_MS - DAY_MS, consents=())
COOKIEBOT = (
    "CookieConsent={{stamp:%27" + VISITOR + "%27%2Cnecessary:true%2Cpreferences:false%2C"
    "statistics:{0}%2Cmarketing:false%2Cmethod:%27explicit%27%2Cver:1%2C"
    f"utc:{NOW_MS - DAY_MS}%2Cregion:%27de%27}}}}; session={VISITOR}"
)
ONETRUST = (
    f"OptanonConsent=consentId={VISITOR}&landingPath=NotLandingPage&groups=C0001%3A1%2CC0002%3A1"
)
CLOSED = "; OptanonAlertBoxClosed=2026-11-20T10:00:00.000Z"
EVENT: dict[str, Any] = {
    "name": "page_view",
    "event_id": "e-1",
    "occurred_at": "2026-11-22T09:59:00Z",
}


@pytest.mark.parametrize(
    ("query", "headers", "signals"),
    [
        (f"&gdpr=1&gdpr_consent={YES}", {}, ["tcf"]),
        ("&gcd=13r3r3r3r5", {}, ["gcd"]),
        ("&gcs=G101", {}, ["gcs"]),
        ("", {"Cookie": COOKIEBOT.format("true")}, ["cookiebot"]),
        ("", {"Cookie": ONETRUST + CLOSED}, ["onetrust"]),
        ("", {"Cookie": f"euconsent-v2={YES}"}, ["tcf_cookie"]),
        ("", {"Cookie": f"euconsent-v2={YES}; eupubconsent-v2={YES}"}, ["tcf_cookie"]),
        (f"&gdpr_consent={YES}", {"Sec_GPC": "1"}, ["gpc", "tcf"]),
    ],
)
async def test_a_grant_keeps_the_event_and_its_proof(
    query: str, headers: dict[str, str], signals: list[str], tmp_path: Path
) -> None:
    async with door(tmp_path) as front:
        answer = await front.post(EVENT, None, f"?key={BROWSER}{query}", **headers)
        assert answer.json["results"][0]["status"] == "accepted", answer.json
        (record,) = await front.events()
        assert record.stamp.rule == "consented"
        assert "analytics" in record.stamp.purposes
        assert list(record.stamp.signals) == signals
        assert sorted(msgspec.json.decode(record.stamp.signal)) == sorted(signals)


@pytest.mark.parametrize(
    ("consent", "query", "headers"),
    [
        (None, "", {}),
        (None, f"&gdpr=1&gdpr_consent={NO}", {}),
        (None, f"&gdpr=0&gdpr_consent={YES}", {}),
        (None, f"&gdpr_consent={YES[:40]}", {}),
        (None, f"&gdpr_consent={YES}&gcs=G100", {}),
        (None, "&gcs=G110", {}),
        (None, "&gcs=G111&gcs=G100", {}),
        (None, f"&gdpr_consent={YES}&gdpr_consent={NO}", {}),
        (None, f"&gdpr_consent={YES}&gdpr=1&gdpr=0", {}),
        (None, "", {"Cookie": f"euconsent-v2={NO}; eupubconsent-v2={YES}"}),
        (None, "", {"Cookie": f"euconsent-v2={YES}; eupubconsent-v2={NO}"}),
        (None, "", {"Cookie": f"{COOKIEBOT.format('true')}; {COOKIEBOT.format('false')}"}),
        (None, f"&gdpr_consent={YES}&gcs=G111&gcs=a&gcs=b&gcs=c&gcs=d", {}),
        (None, "", {"Cookie": COOKIEBOT.format("false")}),
        (None, "", {"Cookie": ONETRUST}),
        (None, "", {"Sec_GPC": "1"}),
        ({"purposes": {"analytics": True}}, "", {"Cookie": COOKIEBOT.format("false")}),
        ({"purposes": {"analytics": True}}, f"&gdpr_consent={NO}", {}),
        ({"purposes": {"analytics": True}}, "&gcs=G110", {}),
        ({"purposes": {"analytics": False}}, f"&gdpr_consent={YES}", {}),
    ],
)
async def test_what_is_refused_or_undecided_leaves_nothing(
    consent: Any, query: str, headers: dict[str, str], tmp_path: Path
) -> None:
    async with door(tmp_path) as front:
        event = EVENT | ({"consent": consent} if consent else {})
        answer = await front.post(event, None, f"?key={BROWSER}{query}", **headers)
        assert answer.codes == ["no_consent"]
        assert await front.on_the_log() == []


async def test_what_a_request_carries_is_said_of_every_event_in_it(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        early = EVENT | {"event_id": "e-2", "occurred_at": "2026-11-20T10:00:00Z"}
        answer = await front.post(
            {"events": [EVENT, early]}, SERVER, "", Cookie=COOKIEBOT.format("true")
        )
        # The second happened before the visitor chose.
        assert answer.codes == [None, "no_consent"]


async def test_nothing_of_cookies_and_query_is_durable_but_the_proof(tmp_path: Path) -> None:
    async with door(tmp_path) as front:
        order = EVENT | {"name": "purchase", "commerce": {"transaction_id": "T-1"}}
        for number, cookie in enumerate(
            (COOKIEBOT.format("true"), COOKIEBOT.format("false"), ONETRUST + CLOSED, ONETRUST)
        ):
            order["event_id"] = f"o-{number}"
            query = f"?key={BROWSER}&gclid={VISITOR}&gpp={VISITOR}"
            answer = await front.post(order, None, query, Cookie=cookie)
            assert answer.json["accepted"] == 1
        assert [record.stamp.kept for record in await front.events()] == [
            "whole", "stripped", "whole", "stripped",
        ]  # fmt: skip
        written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
        assert b"o-3" in written
        assert VISITOR.encode() not in written
        assert BROWSER.encode() not in written
