"""`beleg identity probable`: pairs of a CRM's customers, beside what the store knows of them."""

import csv
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.flow.houses import SERVER_KEY, House, embedded_house
from tests.flow.test_identity_commands import tell
from tests.unit.reports.shop_customers import customers, written, written_again

PEOPLE = 400


def pairs(told: str) -> Mapping[str, Mapping[str, str]]:
    return {row["crm_id"]: row for row in csv.DictReader(told.splitlines())}


def numbers(house: House) -> Sequence[object]:
    return [house.ask(f"SELECT * FROM {view} ORDER BY ALL") for view in ("v_persons", "v_events")]


def test_pairs_are_told_with_their_persons_and_nobody_is_joined(tmp_path: Path) -> None:
    chance = random.Random(7)
    rows = customers(PEOPLE, chance)
    again = [written_again(row, chance) for row in rows[:5]]
    file = tmp_path / "crm.csv"
    _ = file.write_bytes(written([*rows, *again]))
    asked = ("identity", "probable", "--site", "shop", str(file))
    with embedded_house(tmp_path) as house:
        told: list[dict[str, object]] = [
            {"user_id": "u0", "identifiers": {"crm_id": "K0"}},
            {"user_id": "u0b", "identifiers": {"crm_id": "K0-again"}},
            {"identifiers": {"crm_id": "K1", "email": "one@shop.example"}},
            {"identifiers": {"crm_id": "K1-again", "email": "one@shop.example"}},
            {"user_id": "u2", "identifiers": {"crm_id": "K2-again"}},
            {"user_id": "u3", "identifiers": {"crm_id": "K3"}},
        ]
        for number, who in enumerate(told):
            tell(house, SERVER_KEY, number, **who)
        house.wait_until("SELECT count() FROM v_events", len(told))
        house.ledger_at_rest()
        erased = house.run("erase", "--site", "shop", "--id", "crm_id=K3", "--yes")
        assert erased.returncode == 0, erased.stderr
        before = numbers(house)
        found = house.run(*asked)
        assert found.returncode == 0, found.stderr
        shown = pairs(found.stdout)
        assert shown.keys() == {"K0", "K2", "K4"}, "K1 is one person already, K3 was erased"
        assert shown["K0"]["other_crm_id"] == "K0-again" and shown["K0"]["guard"] == "two_users"
        assert shown["K0"]["person_id"] != shown["K0"]["other_person_id"] != ""
        assert shown["K2"]["person_id"] == "" != shown["K2"]["other_person_id"]
        assert shown["K2"]["guard"] == shown["K4"]["person_id"] == ""
        assert float(shown["K4"]["probability"]) >= 0.95 and "birth_on" in shown["K4"]["alike"]
        assert f"{PEOPLE + 4} customers compared, 0 without consent and 1 erased" in found.stderr
        assert "1 more are one person already" in found.stderr
        assert numbers(house) == before
        assert house.running["run"].end() == 0
        assert pairs(house.run(*asked).stdout) == shown
        held = [path for path in tmp_path.rglob("*") if path.is_file() and path != file]
        assert not any(b"Kowalski" in path.read_bytes() for path in held)


def test_what_is_wrong_is_named_and_so_is_what_is_not_installed(tmp_path: Path) -> None:
    rows = customers(3, random.Random(1))
    few, none, bad = (tmp_path / name for name in ("few.csv", "none.csv", "bad.csv"))
    _ = few.write_bytes(written(rows))
    _ = none.write_bytes(written(customers(200, random.Random(1)), "no"))
    _ = bad.write_bytes(written([{**rows[0], "birth_on": "17.05.1980"}]))
    with embedded_house(tmp_path / "house") as house:
        for file, site, why in (
            (few, "shop", "3 customers may be compared"),
            (none, "shop", "0 customers may be compared"),
            (bad, "shop", "line 2, column 4"),
            (tmp_path / "missing.csv", "shop", "cannot be read"),
            (few, "nosuch", "there is no sites.nosuch"),
        ):
            asked = house.run("identity", "probable", "--site", site, str(file), check=False)
            assert asked.returncode == 2 and why in asked.stderr, asked.stderr
            assert asked.stdout == ""
        _ = (tmp_path / "splink.py").write_text("raise ModuleNotFoundError(name='splink')\n")
        alone = house.run(
            "identity", "probable", "--site", "shop", str(few), check=False,
            env={"PYTHONPATH": str(tmp_path)},
        )  # fmt: skip
        assert alone.returncode == 2
        assert "splink is not installed: pip install 'beleg[match]'" in alone.stderr
