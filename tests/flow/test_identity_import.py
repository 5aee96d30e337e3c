"""What the CRM knows moves persons and whom orders are owed to, once, and nothing else."""

import json
import signal
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.canary import Canaries, places, spellings
from tests.flow.houses import BROWSER, SERVER_KEY, House, embedded_house, house_of
from tests.flow.test_erase import KEY

NOW = datetime.now(UTC).replace(microsecond=0)
AT = (NOW - timedelta(days=9)).isoformat()
HEAD = "user_id;crm_id;email;anonymous_id;at;consent_analytics"
ROWS = (
    f"u7;K-4711;Jane@Shop.Example;phone;{AT};true",
    f"u7;;jane@shop.example;laptop;{AT};true",
    f"u8;K-4712;n/a;;{AT};true",
    f"u9;K-4713;joe@shop.example;tablet;{AT};false",
    f"null;K-4714;0;;{AT};true",
    f"u6;;;old;{(NOW - timedelta(days=500)).isoformat()};true",
)
SUMMARY = (
    "6 rows: 3 {} with 6 links, 0 landed already, 3 left out\n"
    "  1 without the consent that connecting takes: analytics\n"
    "  1 with fewer than two identifiers that name somebody\n"
    "  1 older than anything the site keeps\n"
    "  identifiers that name nobody, left out of their rows: email 2, user_id 1\n"
)
NO_PERSONS = {
    "v_sessions": "* EXCEPT person_id",
    "v_orders": "* EXCEPT person_id",
    "v_conversions": "* EXCEPT (person_id, first_channel_group, first_source, first_medium,"
    " first_campaign, last_channel_group, last_source, last_medium, last_campaign)",
    "v_kpi_daily": "* EXCEPT (persons, cvr_person, new_customers)",
    "v_funnel_daily": "date, site, step, step_order, sessions, share_of_previous, abandonment",
    "v_data_quality_daily": "* EXCEPT (imported, identifiers_blocked, unstitched, stitched_share)",
    "v_consent_daily": "*",
    "v_coverage_daily": "* EXCEPT (unstitched, stitched_share)",
}
"""The columns of views that have nothing to do with who is one person."""

PERSONS = ("v_sessions", "v_orders", "v_conversions", "v_persons", "v_kpi_daily")


@pytest.fixture(params=["embedded", "kafka"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    with house_of(request.param, tmp_path, request, KEY) as opened:
        yield opened


def seen(event_id: str, days: int, device: str, name: str = "page_view", **more: Any) -> Any:
    return {
        "name": name,
        "event_id": event_id,
        "occurred_at": (NOW - timedelta(days=days)).isoformat(),
        "anonymous_id": device,
        "user_agent": BROWSER,
        "page": {"url": more.pop("url", "https://shop.example/")},
        "consent": {"purposes": {"analytics": True}},
        **more,
    }


def told(house: House, *events: Any) -> None:
    """Post events, and return when they have landed."""
    file = house.config.parent / "events.ndjson"
    file.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    house.run("send", str(file), "--url", house.url, "--key", SERVER_KEY)
    house.ledger_at_rest()


def a_year(house: House) -> None:
    """A customer comes by a newsletter on the phone, and orders on the laptop as a guest."""
    newsletter = "https://shop.example/?utm_source=newsletter&utm_medium=email&utm_campaign=may"
    money = {"transaction_id": "1001", "currency": "EUR", "value": 50}
    told(
        house,
        seen("e1", 210, "phone", url=newsletter),
        seen("e2", 200, "laptop", url="https://shop.example/?utm_source=google&utm_medium=cpc"),
        seen("e3", 200, "laptop", "purchase", commerce=money),
        seen("e4", 150, "phone", "generate_lead"),
        seen("e5", 9, "laptop"),
        seen("e6", 1, "tablet"),
    )


def imported(house: House, *rows: str, options: tuple[str, ...] = (), head: str = HEAD) -> str:
    """Import rows, and return when they have landed, with what was said."""
    file = house.config.parent / "customers.csv"
    file.write_text("\n".join((head, *rows)))
    done = house.run("identity", "import", "--site", "shop", str(file), *options)
    house.ledger_at_rest()
    return done.stdout


def decided(house: House, **decision: str) -> None:
    asking = urllib.request.Request(
        f"{house.url}/v1/consent",
        json.dumps(decision).encode(),
        {"Authorization": f"Bearer {SERVER_KEY}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asking, timeout=60) as answer:
        assert answer.status == 202


def shown(house: House, *views: str) -> dict[str, list[tuple[Any, ...]]]:
    return {view: house.ask(f"SELECT * FROM {view} ORDER BY ALL") for view in views}


def without_persons(house: House) -> dict[str, list[tuple[Any, ...]]]:
    asked = {view: f"SELECT {columns} FROM {view}" for view, columns in NO_PERSONS.items()}
    return {view: house.ask(f"{sql} ORDER BY ALL") for view, sql in asked.items()}


def touches(house: House) -> list[tuple[Any, ...]]:
    return house.ask(
        "SELECT conversion_id, first_source, last_source FROM v_conversions ORDER BY ALL"
    )


def test_an_order_of_long_ago_is_owed_to_the_persons_other_device_and_nothing_else_moves(
    house: House,
) -> None:
    a_year(house)
    assert touches(house) == [("1001", "google", "google"), ("e4", "newsletter", "newsletter")]
    before, persons = without_persons(house), shown(house, *PERSONS)
    dry = imported(house, *ROWS, options=("--dry-run",))
    assert dry == SUMMARY.format("would be imported")
    assert shown(house, *PERSONS) == persons
    said = imported(house, *ROWS)
    assert said.startswith(SUMMARY.format("imported"))
    assert touches(house) == [
        ("1001", "newsletter", "google"),
        ("e4", "newsletter", "google"),
    ]
    after = shown(house, *PERSONS)
    ((orderer,), (visitor,)) = house.ask(
        "SELECT person_id FROM v_orders UNION ALL"
        " SELECT DISTINCT person_id FROM v_persons WHERE identifier = 'phone'"
    )
    assert orderer == visitor
    assert without_persons(house) == before
    assert house.ask(
        "SELECT sum(imported), sum(identifiers_blocked) FROM v_data_quality_daily"
    ) == [(3, 1)]
    why = house.run(
        "identity", "why", "--site", "shop", "anonymous_id=phone", "anonymous_id=laptop"
    )
    assert why.stdout.count("imported (stronger)") == 2

    again = imported(house, *ROWS)
    assert "0 imported with 0 links, 3 landed already, 3 left out" in again
    assert shown(house, *PERSONS) == after and without_persons(house) == before
    assert house.ledger()["holds"] is True
    assert house.run("audit").returncode == 0


def test_killed_anywhere_and_repeated_it_ends_as_if_done_once(house: House) -> None:
    a_year(house)
    # With phone and laptop five devices at one time: of six the guard would leave one out.
    rows = [f"u7;;;d{number};{AT};true" for number in range(3)] * 140 + [*ROWS]
    rows += [f"c{number};K-{number};c{number}@shop.example;;{AT};true" for number in range(600)]
    file = house.config.parent / "customers.csv"
    file.write_text("\n".join((HEAD, *rows)))
    command = ("identity", "import", "--site", "shop", str(file))
    for point in ("before the import's append:2", "after the import's append:2"):
        died = house.run(*command, check=False, env={"BELEG_FAILPOINT": point})
        assert died.returncode == -signal.SIGKILL
        house.ledger_at_rest()
    done = house.run(*command).stdout
    assert "417 that say what another row says" in done
    house.ledger_at_rest()
    assert house.ask(
        "SELECT count(), uniqExact(event_id) FROM v_events WHERE name = 'identify'"
    ) == [(606, 606)]
    assert house.ask("SELECT countIf(fate = 'duplicate') FROM fates FINAL") == [(0,)]
    assert "0 imported with 0 links, 606 landed already" in house.run(*command).stdout
    assert touches(house)[0] == ("1001", "newsletter", "google")


def test_a_rebuild_gives_the_same_and_an_erasure_by_what_was_imported_finds_all(
    house: House,
) -> None:
    a_year(house)
    _ = imported(house, *ROWS)
    before = shown(house, *PERSONS)
    if "run" in house.running:
        assert house.running["run"].end() == 0
    assert house.run("rebuild").returncode == 0
    if "run" in house.running:
        house.start("run")
    assert shown(house, *PERSONS) == before
    house.run("erase", "--site", "shop", "--id", "crm_id=K-4711", "--yes", "--why", "ticket 1")
    assert house.ask("SELECT identifier FROM v_persons WHERE identifier_type = 'anonymous_id'") == [
        ("tablet",)
    ]
    decided(house, user_id="u8", action="withdraw")
    said = imported(house, *ROWS)
    assert "2 from before somebody in them was erased" in said
    assert "1 of somebody who has withdrawn that" in said
    assert house.ask("SELECT count() FROM v_persons WHERE identifier IN ('u7', 'K-4711')") == [(0,)]
    assert house.ledger()["holds"] is True


def test_nothing_is_imported_of_a_file_with_a_fault(house: House) -> None:
    rows = [*ROWS, *(f"u{number};K-{number};;;20.11.2026;true" for number in range(30))]
    file = house.config.parent / "customers.csv"
    file.write_text("\n".join((HEAD, *rows)))
    done = house.run("identity", "import", "--site", "shop", str(file), check=False)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if "customers.csv: line" in line]
    assert len(lines) == 20 and f'{file}: line 8, column at: "20.11.2026" is no time' in lines[0]
    assert "30 errors, the first 20 stand above; nothing was imported" in done.stderr
    assert house.ask("SELECT count() FROM v_events") == [(0,)]
    future = f"u1;K-1;;;{(NOW + timedelta(days=1)).isoformat()};true"
    file.write_text("\n".join((HEAD, ROWS[0], future)))
    done = house.run("identity", "import", "--site", "shop", str(file), check=False)
    assert "line 3, column at: The time has not come yet" in done.stderr
    for wrong in (("--site", "club", str(file)), ("--site", "shop", "--at", "now", str(file))):
        assert house.run("identity", "import", *wrong, check=False).returncode == 2


def test_an_address_stands_nowhere_also_when_nothing_runs(tmp_path: Path) -> None:
    no, yes = Canaries(), Canaries()
    rows = [
        f"u1;{no.mail()};+49 170 9988776655;{yes.sing()};true",
        f"u2;{no.mail()};;;false",
        f"u3;{no.sing()};;K-3;true",
    ]
    with embedded_house(tmp_path) as house:
        assert house.running["run"].end() == 0
        file = tmp_path / "customers.csv"
        file.write_text("\n".join(("user_id;email;phone;crm_id;consent_analytics", *rows)))
        command = ("identity", "import", "--site", "shop", str(file), "--at", AT)
        assert "2 imported with 4 links" in house.run(*command).stdout
        file.unlink()
        house.start("run")
        house.wait_until("SELECT count() FROM v_persons WHERE identifier_type = 'email_sha256'", 1)
        house.ledger_at_rest()
        assert house.ask("SELECT count() FROM v_persons") == [(6,)]
        somewhere = [place.content for place in places(house, None)]
        sung = [needle for _, needle in spellings(no)] + [b"9988776655"]
        assert not [needle for needle in sung for content in somewhere if needle in content]
        assert any(yes.root.encode() in content for content in somewhere), "the scan is blind"
