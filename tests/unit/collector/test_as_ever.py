"""The same request puts the same bytes on the log in every version: rows, and the digests by which
copies are recognised, come from them. Only the stamp may tell more than it did, and flags: a hash
of nothing but zeros names nobody since it is looked at."""

from hashlib import sha256
from typing import Any

import orjson
import pytest

from spine.record import Channel
from tests.unit.collector.given import ALL, ANALYTICS, admitted, purchase

WHOLE = purchase(
    user_id="ü-7",
    identifiers={"email_sha256": "0" * 64, "crm_id": "c"},
    page={
        "url": "https://shop.example/p?gclid=Cj0K&utm_source=google",
        "referrer": "https://www.google.de/",
        "title": 'Töpfe \U0001f373 & "Pfannen"',
    },
    properties={"a": 1, "b": -2.5, "c": None, "d": True, "e": "é\n"},
    consent={**ALL, "decided_at": "2026-11-22T09:00:00+01:00"},
)
FINE = {
    "value": "39.98005", "tax": 6, "shipping": 4.9, "discount": "-1e2",
    "items": [{"price": "0.123456", "quantity": 3, "discount": 0.5}, {}],
}  # fmt: skip
VIEW: dict[str, Any] = {
    "name": "my own view", "occurred_at": "2026-11-22T11:00:00+01:00", "consent": ANALYTICS,
}  # fmt: skip
AS_SERVER = {"ip": "198.51.100.77", "user_agent": "Mozilla/5.0"}

CASES: list[tuple[Channel, dict[str, Any], str]] = [
    ("browser", WHOLE, "906f3e3919a4abf7eab7f1064a1d054d"),
    ("server", WHOLE | AS_SERVER, "e8a04d8b7aaf0eb6967d1012e84a03cb"),
    ("browser", WHOLE | {"consent": ANALYTICS}, "41e4ba03801ed910ddbc8ebb2dc31985"),
    ("browser", WHOLE | {"consent": None}, "4e3bf4985e4778386efa6234d1f2c80a"),
    ("server", purchase(commerce=FINE) | AS_SERVER, "3590517e08674d6972a2306832bb282c"),
    ("browser", purchase(consent={}, commerce=FINE), "f2540086b2b31f6de1dee4ea9e5d0167"),
    ("browser", VIEW, "0ebff40a037df42e6bb6439cea496a5a"),
    (
        "browser",
        VIEW | {"occurred_at": "2026-11-22T10:30:00Z", "page": {}},
        "5c14a8e0c85279060b465910aa0b387d",
    ),
    (
        "server",
        VIEW | {"event_id": "e", "properties": {}, "anonymous_id": "a"},
        "f273c93721a93c325c69e77de4ee92a8",
    ),
]


@pytest.mark.parametrize(("channel", "event", "told"), CASES)
def test_records_are_what_they_were(channel: Channel, event: dict[str, Any], told: str) -> None:
    (entry,) = admitted(event, channel=channel, sent_at="2026-11-22T10:00:01Z").admitted
    record = orjson.loads(entry.value)
    del record["stamp"]
    assert sha256(entry.key + orjson.dumps(record)).hexdigest()[:32] == told, record
