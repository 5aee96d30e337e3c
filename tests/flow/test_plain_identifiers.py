"""An e-mail that a server tells as it is stands nowhere, whatever becomes of its event and of the
process; and what may be kept of it joins persons."""

import json
import signal
import urllib.error
import urllib.request
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.canary import Canaries, places, spellings
from tests.flow.houses import BROWSER_KEY, ORIGIN, SERVER_KEY, House, embedded_house


def told(event_id: str, **identifiers: str) -> dict[str, Any]:
    return {
        "name": "page_view",
        "event_id": event_id,
        "occurred_at": "2026-11-20T10:00:00Z",
        "user_id": "u1",
        "identifiers": identifiers,
        "consent": {"purposes": {"analytics": True}},
    }


def sent(house: House, key: str, *events: object) -> list[tuple[str, str | None]]:
    asking = urllib.request.Request(
        f"{house.url}/v1/events",
        json.dumps({"events": events}).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "text/plain", "Origin": ORIGIN},
    )
    with urllib.request.urlopen(asking, timeout=60) as answer:
        results = json.load(answer)["results"]
    return [(one["status"], one["code"]) for one in results]


def test_no_address_and_no_number_is_ever_written(tmp_path: Path) -> None:
    no, yes = Canaries(), Canaries()
    mail = no.mail()
    with embedded_house(tmp_path) as house:
        assert sent(
            house,
            SERVER_KEY,
            told("e1", email=mail, phone="+49 170 9988776655", crm_id=yes.sing()),
            told("e2", email=no.sing()),
            told("e3", email=no.mail()) | {"consent": None},
            told("e4", email=no.mail(), nonsense=no.sing()),
            told("e5", email=no.mail()) | {"identifiers": {"email": [no.mail()]}},
            told("e6", email=f"  {mail.upper()} ") | {"user_id": None, "anonymous_id": "a1"},
        ) == [
            ("accepted", None), ("accepted", None), ("dropped", "no_consent"),
            ("refused", "unknown_field"), ("refused", "wrong_type"), ("accepted", None),
        ]  # fmt: skip
        assert sent(house, BROWSER_KEY, told("e7", email=no.mail())) == [("refused", "not_allowed")]
        house.wait_until("SELECT count() FROM v_events", 3)
        house.ledger_at_rest()
        kept = sha256(mail.strip().lower().encode()).hexdigest()
        rows = house.ask(
            "SELECT identifier_type, if(identifier_type = 'crm_id', '', identifier) FROM v_persons"
            " WHERE person_id = (SELECT person_id FROM v_persons WHERE identifier = 'u1')"
            " ORDER BY identifier_type"
        )
        assert rows[0] == ("anonymous_id", "a1") and ("email_sha256", kept) in rows
        assert len(rows) == 5
        assert house.running["run"].end(signal.SIGKILL) != 0
        somewhere = [place.content for place in places(house, None)]
        sung = [needle for _, needle in spellings(no)] + [b"9988776655"]
        assert not [needle for needle in sung for content in somewhere if needle in content]
        assert any(yes.root.encode() in content for content in somewhere), "the scan is blind"
