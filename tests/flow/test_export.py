"""A person gets what is stored of it, and nothing of anybody else."""

import io
import json
from pathlib import Path
from typing import Any, cast

import msgspec

from beleg.export import PARTS, write
from consent_rules.regime import KEEPINGS
from processors.access import whose
from processors.identity.splits import split, undo
from spine.digest import identifier_id
from spine.log import Record
from spine.record import ConsentRecord, Stamp, encode
from spine.store import Store
from tests.clickhouse_server import Server
from tests.flow.aging import retained
from tests.flow.derived import START_MS, own_store
from tests.flow.happenings import DAY_MS, HOUR_MS, Happening, Order, record, records
from tests.flow.houses import SERVER_KEY, embedded_house
from tests.flow.passage import enter_site, process


async def exported(store: Store, site: str, kind: str, value: str) -> dict[str, Any] | None:
    person = await whose(store, site, kind, value)
    if person is None:
        return None
    stream = io.StringIO()
    await write(store, person, KEEPINGS, (kind, value), stream)
    return cast(dict[str, Any], json.loads(stream.getvalue()))


def _told(site: str) -> list[Happening]:
    def seen(number: int, device: str | None, user: str | None, **more: Any) -> Happening:
        at_ms = START_MS + number * HOUR_MS
        return Happening(site, more.pop("name", "page_view"), f"e{number}", at_ms,
                         anonymous_id=device, user_id=user, **more)  # fmt: skip

    return [
        seen(0, "phone", None, campaign=("google", "cpc")),
        seen(1, "phone", "ada", name="purchase", order=Order("ada-1", "10", prices=("10",))),
        seen(2, "laptop", "ada"),
        seen(3, "laptop", None, name="generate_lead"),
        seen(4, "phone", "bob", name="purchase", order=Order("bob-1", "99")),  # on ada's phone
        seen(5, "tablet", "bob"),
        seen(6, "other", None),
    ]


async def _landed(store: Store, site: str) -> None:
    stamp = Stamp(
        rule="consented", version="eu@1+ab", kept="whole", linked=True, purposes=("analytics",),
        denied=("ads_measurement",), signals=("event",), retention="usage", exports=("google",),
    )  # fmt: skip
    values = [encode(msgspec.structs.replace(record(one), stamp=stamp)) for one in _told(site)]
    subject = identifier_id(site, "anonymous_id", "laptop").hex()
    values.append(
        encode(
            ConsentRecord(
                site=site, channel="browser", kind="anonymous_id", subject=subject,
                action="withdraw", denied=("*",), decided_ms=START_MS, received_ms=START_MS + 5,
            )
        )
    )  # fmt: skip
    await enter_site(store, site)
    await process(store, f"log-{site}", [Record(0, n, value, 0) for n, value in enumerate(values)])


async def test_a_person_gets_all_of_its_devices_and_nothing_of_whoever_shares_one(
    store: Store, site: str
) -> None:
    await _landed(store, site)
    found = await exported(store, site, "anonymous_id", "laptop")
    assert found is not None and list(found)[-len(PARTS) :] == list(PARTS)
    by_user = await exported(store, site, "user_id", "ada")
    assert by_user is not None
    assert [found[part] for part in PARTS] == [by_user[part] for part in PARTS]
    assert found["identifiers"] == [  # the phone is bob's in turn: what she did on it is hers
        {"kind": "anonymous_id", "identifier": "laptop"},
        {"kind": "user_id", "identifier": "ada"},
    ]
    assert [one["event_id"] for one in found["events"]] == ["e0", "e1", "e2", "e3"]
    order = found["events"][1]
    assert (order["user_id"], order["items"]) == ("ada", [{"price": "10"}])
    assert order["value"] == "10.0000"
    assert order["consent_rule"] == "consented" and order["consent_version"] == "eu@1+ab"
    assert (order["consent_purposes"], order["consent_exports"]) == (["analytics"], ["google"])
    assert (order["retention"], order["kept_until"]) == ("usage", "2025-05-04")
    assert found["retention"]["usage"]["days"] == 400
    assert [one["transaction_id"] for one in found["orders"]] == ["ada-1"]
    kinds = {(one["kind"], one["conversion_id"]) for one in found["conversions"]}
    assert kinds == {("order", "ada-1"), ("lead", "e3")}
    assert [one["events"] for one in found["sessions"]] == [1, 1, 1, 1]
    assert {one["told_by"] for one in found["consent"]} == {
        "decision", "event",
    }  # fmt: skip
    text = json.dumps(found)
    assert not any(word in text for word in ("bob", "tablet", '"other"', "99.0000"))

    bob = await exported(store, site, "user_id", "bob")
    assert bob is not None
    assert [(one["event_id"], one["anonymous_id"]) for one in bob["events"]] == [
        ("e4", None), ("e5", "tablet"),
    ]  # fmt: skip
    assert [one["transaction_id"] for one in bob["orders"]] == ["bob-1"]
    assert not any(word in json.dumps(bob) for word in ('"ada', '"phone"', '"laptop"'))
    assert len(bob["sessions"]) == 2, "the one on ada's phone is his"
    phone = await exported(store, site, "anonymous_id", "phone")
    assert phone is not None and not phone["sessions"], "nobody knows whose turn is asked for"
    assert await exported(store, site, "user_id", "nobody") is None
    assert await exported(store, "elsewhere", "user_id", "ada") is None


async def test_what_names_somebody_else_without_linking_them_is_not_the_persons(
    store: Store, site: str
) -> None:
    """Where consent forbids to link, the device stays one person's, whoever else stands on it."""
    stamp = Stamp(rule="consented", version="eu@1+ab", kept="whole", linked=False)
    ada = Happening(site, "login", "e0", START_MS, anonymous_id="laptop", user_id="ada")
    bob = ada._replace(event_id="e1", at_ms=START_MS + DAY_MS, user_id="bob")
    unlinked = msgspec.structs.replace(record(bob), stamp=stamp)
    await enter_site(store, site)
    values = [encode(record(ada)), encode(unlinked)]
    await process(store, f"log-{site}", [Record(0, n, value, 0) for n, value in enumerate(values)])
    for kind, value in (("user_id", "ada"), ("anonymous_id", "laptop")):
        found = await exported(store, site, kind, value)
        assert found is not None and [one["event_id"] for one in found["events"]] == ["e0"]
        assert "bob" not in json.dumps(found)
    found = await exported(store, site, "user_id", "bob")
    assert found is not None
    assert [(one["event_id"], one["anonymous_id"]) for one in found["events"]] == [("e1", None)]
    assert "ada" not in json.dumps(found)


async def test_a_person_gets_what_was_split_from_it_but_not_from_whom(
    store: Store, site: str
) -> None:
    mail = "ab" * 32
    told = [
        Happening(site, "login", f"e{n}", START_MS + n, anonymous_id=device, user_id=user,
                  named=(("email_sha256", mail),) if user == "ada" else ())
        for n, device, user in ((1, "a1", "ada"), (2, "a2", "ada"), (3, "a2", None))
    ]  # fmt: skip
    await process(store, f"log-{site}", records(told))
    user, device, address = (
        identifier_id(site, *one)
        for one in (("user_id", "ada"), ("anonymous_id", "a2"), ("email_sha256", mail))
    )
    assert await split(store, site, (user, device), "ticket 7")
    assert await split(store, site, (user, address), "ticket 8")
    assert await undo(store, site, (user, address))
    found = await exported(store, site, "user_id", "ada")
    assert found is not None
    of_device, of_mail = found["splits"]
    assert of_device.pop("split_at") and of_device == {
        "kind": "user_id", "identifier": "ada", "from_kind": None, "from_identifier": None,
        "why": "ticket 7", "is_undone": False,
    }  # fmt: skip
    assert of_mail["is_undone"] and {of_mail["identifier"], of_mail["from_identifier"]} == {
        "ada", mail,
    }  # fmt: skip
    assert '"a2"' not in json.dumps(found)
    other = await exported(store, site, "anonymous_id", "a2")
    assert other is not None and [one["identifier"] for one in other["splits"]] == ["a2"]


async def test_what_was_deleted_is_not_there_any_more(clickhouse_server: Server, site: str) -> None:
    async with own_store(clickhouse_server) as store:
        await _landed(store, site)
        await retained(store, site, START_MS // DAY_MS + 40)
        found = await exported(store, site, "user_id", "ada")
        assert found is None
        device = await exported(store, site, "anonymous_id", "phone")  # what proves stays
        assert device is not None and device["consent"] and not device["events"]
        assert not any(device[part] for part in PARTS if part != "consent")


def test_the_command_asks_the_running_process_and_the_directory(tmp_path: Path) -> None:
    event = {
        "name": "page_view", "event_id": "e1", "occurred_at": "2026-11-20T10:00:00Z",
        "anonymous_id": "device-1", "consent": {"purposes": {"analytics": True}},
        "page": {"url": "https://shop.example/"},
    }  # fmt: skip
    (tmp_path / "events.ndjson").write_text(json.dumps(event) + "\n")
    ask = ("export", "--site", "shop", "--person", "anonymous_id=device-1")
    with embedded_house(tmp_path) as house:
        house.run("send", str(tmp_path / "events.ndjson"), "--url", house.url, "--key", SERVER_KEY)
        house.wait_until("SELECT count() FROM v_events", 1)
        running = json.loads(house.run(*ask).stdout)
        assert [one["event_id"] for one in running["events"]] == ["e1"]
        assert house.run(*ask[:-1], "anonymous_id=x", check=False).returncode == 1
        assert house.run(*ask[:-1], "e1", check=False).returncode == 2
        house.running["run"].end()
        file = tmp_path / "person.json"
        house.run(*ask, "-o", str(file))
        assert file.stat().st_mode & 0o777 == 0o600
        resting = json.loads(file.read_text())
        assert {**resting, "made_at": ""} == {**running, "made_at": ""}
        assert house.run(*ask, "-o", str(file), check=False).returncode == 2
