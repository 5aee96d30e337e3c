"""`beleg erase`: afterwards nothing of the person is anywhere, and everything else is as it was."""

import asyncio
import base64
import json
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from processors.erasure.masking import TABLES
from spine.digest import identifier_id
from tests.canary import contents
from tests.flow.houses import ORIGIN, SERVER_KEY, House, embedded_house, house_of

KEY = 'erasure.key = "a secret of more than thirty-two characters"'
VIEWS = (
    "v_events", "v_sessions", "v_orders", "v_conversions", "v_persons", "v_kpi_daily",
    "v_consent_log",
)  # fmt: skip


@pytest.fixture(params=["embedded", "kafka"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    with house_of(request.param, tmp_path, request, KEY) as opened:
        yield opened


class Cast:
    """Anna with two devices, whose ids are canaries, and somebody else."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.anna, self.phone, self.laptop = (secrets.token_hex(12) for _ in range(3))
        self.started_at = datetime.now(UTC) - timedelta(hours=2)

    def events(self) -> list[dict[str, Any]]:
        rows = [
            ("page_view", self.phone, None, None),
            ("login", self.phone, self.anna, None),
            ("login", self.laptop, self.anna, None),
            ("generate_lead", self.phone, None, None),
            ("purchase", self.laptop, None, f"T1-{self.number}"),
            ("page_view", "other", None, None),
            ("login", "other", "ben", None),
            ("purchase", "other", "ben", f"T2-{self.number}"),
        ]
        return [self.event(number, *row) for number, row in enumerate(rows)]

    def event(
        self, number: int, name: str, device: str, user: str | None, order: str | None
    ) -> dict[str, Any]:
        at = self.started_at + timedelta(minutes=number)
        event: dict[str, Any] = {
            "event_id": f"e{self.number}-{number}",
            "name": name,
            "occurred_at": at.isoformat(),
            "anonymous_id": device,
            "page": {"url": f"{ORIGIN}/?mail={device}", "title": f"Hello {device}"},
            "properties": {"note": device},
            "consent": {"purposes": {"analytics": True, "ads_measurement": True}},
        }
        if user:
            event["user_id"] = user
        if order:
            event["commerce"] = {"transaction_id": order, "currency": "EUR", "value": 10}
        return event

    def forms(self) -> list[bytes]:
        """Every form in which she could be somewhere."""
        found = []
        for kind, name in (
            ("user_id", self.anna),
            ("anonymous_id", self.phone),
            ("anonymous_id", self.laptop),
        ):
            digest = identifier_id("shop", kind, name)
            found += [name.encode(), quote(name).encode(), base64.b64encode(name.encode())]
            found += [digest, digest.hex().encode(), base64.b64encode(digest)]
        return found


def post(house: House, path: str, body: object) -> tuple[int, Any]:
    async def go() -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {SERVER_KEY}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{house.url}{path}", json=body) as answer,
        ):
            return answer.status, await answer.json()

    return asyncio.run(go())


def told(house: House, events: Sequence[object]) -> list[str]:
    status, answer = post(house, "/v1/events", {"events": events})
    assert status == 202, answer
    return [one["code"] or one["status"] for one in answer["results"]]


def decide(house: House, decision: object) -> None:
    """Tell it again while the control log is slow."""
    give_up_at = time.monotonic() + 60
    while post(house, "/v1/consent", decision)[0] != 202:
        assert time.monotonic() < give_up_at
        time.sleep(0.5)


def shown(house: House) -> Mapping[str, list[Any]]:
    return {view: sorted(house.ask(f"SELECT * FROM {view}"), key=repr) for view in VIEWS}


def in_tables(house: House, words: Sequence[bytes]) -> dict[str, int]:
    tables = house.ask(
        "SELECT name FROM system.tables WHERE database = 'beleg' AND engine LIKE '%MergeTree'"
    )
    text = ", ".join(f"unhex('{word.hex()}')" for word in words)
    raw = {}
    for (name,) in tables:
        row = f"multiSearchAny(formatRow('RowBinary', *), [{text}])"
        ((count,),) = house.ask(f"SELECT count() FROM {name} WHERE {row}")
        if count:
            raw[name] = count
    return raw


def erase(house: House, identifier: str, *more: str) -> dict[str, Any]:
    done = house.run("erase", "--site", "shop", "--id", identifier, "--yes", *more)
    return dict(json.loads(done.stdout))


def logs_with(cast: Cast, place: Path) -> list[str]:
    """Name the files of the log, and of what SQLite keeps beside it, that have anything of her."""
    return [
        path.name
        for path, content in contents(place)
        if path.name.startswith("log.sqlite") and any(form in content for form in cast.forms())
    ]


def test_of_an_erased_person_nothing_is_left_and_the_rest_is_as_it_was(
    house: House, tmp_path: Path
) -> None:
    cast = Cast()
    assert told(house, cast.events()) == ["accepted"] * 8
    for name, value in (("anonymous_id", cast.phone), ("user_id", cast.anna)):
        decide(house, {"action": "grant", name: value, "purposes": {"analytics": True}})
    house.wait_until("SELECT count() FROM v_events", 8)
    house.wait_until("SELECT count() FROM v_consent_log WHERE told_by = 'decision'", 2)
    assert in_tables(house, cast.forms()), "the scan is blind"
    pair = ("--site", "shop", f"user_id={cast.anna}", f"anonymous_id={cast.phone}")
    for how in (("--why", f"so says {cast.anna}"), ("--undo",)):
        assert house.run("identity", "split", *pair, *how).returncode == 0
    before = shown(house)
    rest = {
        view: [
            row
            for row in rows
            if not re.search(f"{cast.anna}|{cast.phone}|{cast.laptop}", repr(row))
        ]
        for view, rows in before.items()
    }

    dry = house.run("erase", "--site", "shop", "--id", f"user_id={cast.anna}")
    assert "nothing was erased" in dry.stdout
    assert shown(house) == before
    nobody = house.run("erase", "--site", "shop", "--id", "user_id=nobody", "--yes", check=False)
    assert nobody.returncode == 1

    receipt = erase(house, "order=T1-0", "--why", "ticket 7")
    assert receipt["found"]["events"] == 5
    assert receipt["found"]["order_facts"] == 1
    assert receipt["found"]["identity_splits"] == 2
    assert set(receipt["found"]) == {*TABLES, "order_facts", "fates"}
    decisions = receipt["found"]["consent_log"]
    assert decisions >= 2
    assert receipt["why"] == "ticket 7"
    assert not [word for word in cast.forms() if word in json.dumps(receipt).encode()]
    assert in_tables(house, cast.forms()) == {}
    after = shown(house)
    assert after["v_events"] == rest["v_events"]
    assert after["v_persons"] == rest["v_persons"]
    assert [row for row in after["v_orders"] if row[1] == "T2-0"] == [
        row for row in before["v_orders"] if row[1] == "T2-0"
    ]
    (hers,) = (row for row in after["v_orders"] if row[1] == "T1-0")
    columns = [name for name, *_ in house.ask("DESCRIBE v_orders")]
    order = dict(zip(columns, hers, strict=True))
    assert (str(order["gross"]), order["currency"], order["status"]) == (
        "10.0000",
        "EUR",
        "purchased",
    )
    assert (order["visitor_id"], order["person_id"], order["session_id"]) == (None, None, None)
    assert house.ask("SELECT uniqExact(visitor_id), sum(events) FROM v_sessions") == [(1, 3)]
    assert house.ask("SELECT sum(leads), sum(sessions), sum(gross) FROM v_kpi_daily")[0][:2] == (
        0,
        1,
    )

    ledger = house.ledger_at_rest()
    assert ledger["holds"] is True
    assert sum(one["fates"]["erased"] for one in ledger["partitions"]) == 5 + decisions
    assert house.run("audit").returncode == 0

    assert logs_with(cast, tmp_path / "data") == []

    # Nobody comes back: by the same events again, by later copies of earlier ones.
    old = {**cast.events()[0], "event_id": "crm-1"}
    assert told(house, [*cast.events()[:5], old]) == ["erased"] * 6
    # What the device does later is a new person.
    new = {**cast.events()[0], "event_id": "new", "occurred_at": datetime.now(UTC).isoformat()}
    assert told(house, [new]) == ["accepted"]
    house.wait_until("SELECT count() FROM v_events", 4)
    assert house.ask("SELECT count() FROM v_events WHERE user_id IS NOT NULL") == [(2,)]

    (tmp_path / "receipt.json").write_text(json.dumps(receipt, indent=2))
    assert house.run("erase", "verify", str(tmp_path / "receipt.json")).returncode == 0
    assert house.run("erase", "verify", receipt["erasure"]).returncode == 0
    (tmp_path / "receipt.json").write_text(json.dumps({**receipt, "why": "other"}))
    assert house.run("erase", "verify", str(tmp_path / "receipt.json"), check=False).returncode == 1
    assert receipt["erasure"] in house.run("erase", "list").stdout
    for nothing in ("nowhere", str(tmp_path), "x" * 300, str(tmp_path / "receipt.json" / "x")):
        assert house.run("erase", "verify", nothing, check=False).returncode == 1


def test_a_copy_of_the_store_that_is_put_back_is_erased_again_at_start(tmp_path: Path) -> None:
    cast = Cast()
    with embedded_house(tmp_path, KEY) as house:
        assert told(house, cast.events()) == ["accepted"] * 8
        house.wait_until("SELECT count() FROM v_events", 8)
        before = shown(house)
        assert house.running["run"].end() == 0
        shutil.copytree(tmp_path / "data" / "store", tmp_path / "copy", symlinks=True)
        # Nothing runs: the command does it all.
        receipt = erase(house, f"user_id={cast.anna}")
        assert receipt["found"]["events"] == 5
        shutil.rmtree(tmp_path / "data" / "store")
        shutil.copytree(tmp_path / "copy", tmp_path / "data" / "store", symlinks=True)
        house.start("run")
        house.wait_until("SELECT count() FROM v_events", 3, 180)
        house.wait_until("SELECT countIf(state = 'closed') FROM erasures FINAL", 1, 180)
        assert in_tables(house, cast.forms()) == {}
        assert house.ledger_at_rest()["holds"] is True
        assert [row for row in shown(house)["v_orders"] if row[1] == "T2-0"] == [
            row for row in before["v_orders"] if row[1] == "T2-0"
        ]
