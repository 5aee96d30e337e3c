"""E-mails and phones as they are: of servers only, hashed, and gone before anything is written."""

import json
from hashlib import sha256

import pytest

from collector.naming import Told
from tests.unit.collector.given import ALL, admitted, claims, record_of

MAIL, PHONE = " Max@Shop.Example ", "+49 (0)170 1234567"


def told(event_id: str = "e1", **identifiers: str) -> dict[str, object]:
    return {
        "name": "page_view",
        "event_id": event_id,
        "occurred_at": "2026-11-22T09:59:00Z",
        "user_id": "u1",
        "identifiers": identifiers,
        "consent": ALL,
    }


def test_a_server_tells_them_as_they_are_and_only_hashes_are_kept() -> None:
    admission = admitted(told(email=MAIL, phone=PHONE, crm_id="K-1"), channel="server")
    named = record_of(admission).event.identifiers
    assert named is not None
    assert named.email_sha256 == sha256(b"max@shop.example").hexdigest()
    assert named.phone_sha256 == sha256(b"491701234567").hexdigest()
    assert named.crm_id == "K-1"
    assert json.loads(admission.admitted[0].value)["event"]["identifiers"].keys() == {
        "email_sha256", "phone_sha256", "crm_id",
    }  # fmt: skip
    for plain in (b"shop.example", b"Shop.Example", b"1234567"):
        assert plain not in admission.admitted[0].value


@pytest.mark.parametrize("field", ["email", "phone"])
def test_a_browser_may_not_and_the_answer_does_not_repeat_it(field: str) -> None:
    admission = admitted(told(**{field: "secret@shop.example"}))
    (result,) = admission.results
    assert (result.status, result.code) == ("refused", "not_allowed")
    assert f"$.identifiers.{field}" in str(result.detail) and "secret" not in str(result)
    assert admission.admitted == []


@pytest.mark.parametrize("spoiled", [{"email": "max"}, {"phone": "0170 1234567"}])
def test_what_is_none_is_left_out_and_the_event_stays(spoiled: dict[str, str]) -> None:
    record = record_of(admitted(told(**spoiled, crm_id="K-1"), channel="server"))
    assert record.event.identifiers is not None
    assert record.event.identifiers.email_sha256 is record.event.identifiers.phone_sha256 is None
    assert record.flags == ("identifier_blocked",)


@pytest.mark.parametrize("nobody", [{"crm_id": "null"}, {"email_sha256": sha256(b"").hexdigest()}])
def test_an_id_that_names_nobody_is_marked(nobody: dict[str, str]) -> None:
    assert record_of(admitted(told(**nobody))).flags == ("identifier_blocked",)


def test_who_tells_a_hash_as_well_is_taken_at_it() -> None:
    there = sha256(b"other@shop.example").hexdigest()
    record = record_of(admitted(told(email=MAIL, email_sha256=there), channel="server"))
    assert record.event.identifiers is not None
    assert record.event.identifiers.email_sha256 == there


def test_no_text_of_an_event_shows_them() -> None:
    (event,) = claims(told(email=MAIL)).events
    assert "Shop" not in repr(event) and isinstance(Told(email=MAIL), Told)
