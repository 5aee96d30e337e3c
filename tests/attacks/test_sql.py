"""SQL through every field of an event: it lands as the text it is and changes nothing."""

import json
import urllib.request
from pathlib import Path
from typing import Any

from tests.flow.houses import SERVER_KEY, House, embedded_house

NASTY = (
    "'; DROP TABLE facts; --",
    "\\'); DROP TABLE events; --",
    "' UNION ALL SELECT file('/etc/passwd') --",
    "{x:String}",
    "%(x)s %s ?",
    "') OR 1=1 /*",
    "a\\",
    '`a`."b" $1',
    "\\N",
    "😀'\\''",
)


def event_of(text: str) -> dict[str, Any]:
    return {
        "name": text,
        "event_id": text,
        "occurred_at": "2026-11-20T10:00:00Z",
        "anonymous_id": text,
        "user_id": text,
        "identifiers": {"crm_id": text},
        "page": {"url": f"https://shop.example/?utm_source={text}&gclid={text}", "title": text,
                 "referrer": f"https://{text}/"},
        "properties": {text: text},
        "consent": {"purposes": {"analytics": True, "ads_measurement": True}},
    }  # fmt: skip


def purchase_of(text: str) -> dict[str, Any]:
    items = [{"item_id": text, "item_name": text, "coupon": text, "price": 10, "quantity": 1}]
    commerce = {"transaction_id": text, "value": 10, "coupon": text, "items": items}
    return event_of(text) | {"name": "purchase", "event_id": f"p{text}", "commerce": commerce}


def post(house: House, events: list[dict[str, Any]]) -> Any:
    asked = urllib.request.Request(
        f"{house.url}/v1/events",
        json.dumps({"events": events}).encode(),
        {"Authorization": f"Bearer {SERVER_KEY}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.load(answer)


def test_sql_in_every_field_lands_as_text_and_changes_nothing(tmp_path: Path) -> None:
    with embedded_house(tmp_path) as house:
        tables = house.ask("SHOW TABLES")
        events = [make(text) for text in NASTY for make in (event_of, purchase_of)]
        answer = post(house, events)
        assert answer["accepted"] == len(events), answer
        house.wait_until("SELECT count() FROM fates", len(events), within_s=60)
        house.wait_until("SELECT count() FROM v_orders", len(NASTY), within_s=60)
        assert house.ask("SHOW TABLES") == tables
        landed = house.ask("SELECT name, event_id, anonymous_id, user_id FROM v_events")
        for text in NASTY:
            assert (text, text, text, text) in landed
            assert ("purchase", f"p{text}", text, text) in landed
        assert len(landed) == len(events)
        orders = house.ask("SELECT transaction_id, gross FROM v_orders")
        assert sorted(orders) == sorted((text, 10) for text in NASTY)
        assert {row[0] for row in house.ask("SELECT identifier FROM v_persons")} >= set(NASTY)
        for text in NASTY[1:3]:  # each is a process
            assert "stored" in house.run("trace", "--", text).stdout
        assert house.ledger()["holds"] is True
