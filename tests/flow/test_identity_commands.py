"""`beleg identity`, while everything runs and while nothing does."""

import json
import urllib.error
import urllib.request
from pathlib import Path

from spine.runtime import held
from tests.flow.houses import BROWSER, BROWSER_KEY, ORIGIN, SERVER_KEY, House, embedded_house

CONSENT = {"purposes": {"analytics": True}}


def tell(house: House, key: str, number: int, **who: object) -> None:
    event = {
        "name": "login",
        "event_id": f"e{number}",
        "occurred_at": f"2026-11-28T10:0{number}:00Z",
        "consent": CONSENT,
        **who,
    }
    asking = urllib.request.Request(
        f"{house.url}/v1/events",
        json.dumps(event).encode(),
        {
            "Authorization": f"Bearer {key}",
            "Content-Type": "text/plain",
            "Origin": ORIGIN,
            "User-Agent": BROWSER,
        },
    )
    with urllib.request.urlopen(asking, timeout=60) as answer:
        assert json.load(answer)["accepted"] == 1


def split_by_http(house: House, one: str, other: str) -> int:
    running = held(house.config.parent / "data", "run") or {}
    asking = urllib.request.Request(
        f"http://{running['admin']}/identity/splits",
        json.dumps({"site": "shop", "one": one, "other": other}).encode(),
        {"Authorization": f"Bearer {running['ticket']}"},
    )
    try:
        with urllib.request.urlopen(asking, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_journey_of_two_devices_is_explained_split_and_put_back(tmp_path: Path) -> None:
    with embedded_house(tmp_path) as house:
        tell(house, BROWSER_KEY, 1, anonymous_id="phone", user_id="customer-7")
        tell(
            house, SERVER_KEY, 2, user_id="customer-7",
            identifiers={"email": "Jane@Shop.Example", "crm_id": "K-4711"},
        )  # fmt: skip
        tell(
            house, SERVER_KEY, 3, anonymous_id="laptop",
            identifiers={"email": "jane@shop.example "},
        )  # fmt: skip
        persons = "SELECT uniqExact(person_id) FROM v_persons"
        house.wait_until("SELECT count() FROM v_persons", 5)
        house.wait_until(persons, 1)
        asked = ("--site", "shop", "anonymous_id=phone", "anonymous_id=laptop")
        told = house.run("identity", "why", *asked)
        assert told.returncode == 0, told.stderr
        lines = [line.strip() for line in told.stdout.splitlines() if "event" in line]
        assert lines == [
            "event e1, 2026-11-28 10:01:00.000 UTC, browser key (weaker)",
            "event e2, 2026-11-28 10:02:00.000 UTC, server key (stronger)",
            "event e3, 2026-11-28 10:03:00.000 UTC, server key (stronger)",
        ]
        shown = house.run("identity", "show", "--site", "shop", "email=JANE@shop.example")
        assert shown.returncode == 0 and shown.stdout.count("customer-7") == 1, shown.stdout
        pair = ("--site", "shop", "user_id=customer-7", "email=jane@shop.example")
        split = house.run("identity", "split", *pair, "--why", "ticket 7")
        assert split.returncode == 0, split.stderr
        assert house.ask(persons) == [(2,)]
        assert house.run("identity", "why", *asked, check=False).returncode == 1
        assert house.run("identity", "split", *asked, check=False).returncode == 1
        for two, status in (("customer-7", 400), ("email=nowhere", 400), ("user_id=x", 404)):
            assert split_by_http(house, "user_id=customer-7", two) == status
        assert house.running["run"].end() == 0
        undone = house.run("identity", "split", *pair, "--undo")
        assert undone.returncode == 0, undone.stderr
        assert house.run("identity", "why", *asked).returncode == 0
        bad = house.run("identity", "why", "--site", "shop", "nobody=1", "x=2", check=False)
        assert bad.returncode == 2
        for command in (("show",), ("why", "user_id=customer-8"), ("split", "user_id=customer-8")):
            slip = ("identity", command[0], "--site", "shpo", "user_id=customer-7", *command[1:])
            told = house.run(*slip, check=False)
            assert told.returncode == 2, told.stdout
            assert told.stderr == (
                'beleg: --site: "shpo" is neither in the settings nor in the store\n'
            )
        erased = house.run("erase", "--site", "shpo", "--id", "user_id=customer-7", check=False)
        assert (erased.returncode, erased.stderr) == (2, told.stderr)
