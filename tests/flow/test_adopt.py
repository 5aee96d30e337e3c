"""Log and store of one machine do not belong together any more: it is noticed, and
`beleg log adopt` leads on.

At the end every accepted event that is still on some log counts once, and the ledger says the rest.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.flow.houses import SERVER_KEY, House, embedded_house
from tests.flow.processes import Process


def tell(house: House, *numbers: int) -> None:
    """Have these events accepted; the same number is the same event."""
    event = (
        '{"name": "purchase", "event_id": "e%d", "occurred_at": "2026-01-05T10:%02d:00Z",'
        ' "anonymous_id": "a%d", "page": {"url": "https://shop.example/"},'
        ' "commerce": {"transaction_id": "t%d", "currency": "EUR", "value": 10},'
        ' "consent": {"purposes": {"analytics": true}}}\n'
    )
    file = house.config.parent / "events.ndjson"
    file.write_text("".join(event % (n, n % 60, n % 7, n) for n in numbers))
    house.run("send", str(file), "--url", house.url, "--key", SERVER_KEY)


def counted_once(house: House, *numbers: int) -> None:
    """Wait until the views show exactly these events, each once, and the orders they make."""
    expected = sorted(f"e{number}" for number in set(numbers))
    house.wait_until("SELECT arraySort(groupArray(event_id)) FROM v_events", expected)
    orders = sorted(f"t{number}" for number in set(numbers))
    house.wait_until("SELECT arraySort(groupArray(transaction_id)) FROM v_orders", orders)
    assert house.ask("SELECT sum(gross) FROM v_orders") == [(10 * len(orders),)]


def refused(house: House, role: str, *words: str) -> None:
    """Start a process that does not come up, or ends by itself, with this sentence."""
    process = Process(house.config, role)
    house.running[role] = process
    ended_with(process, *words)


def ended_with(process: Process, *words: str) -> None:
    assert process.popen.wait(60) == 2
    process.end()
    for word in words:
        assert word in process.lines[-1], "".join(process.lines[-5:])


def adopted(house: House, *options: str) -> str:
    return house.run("log", "adopt", "--yes", *options).stdout


def fates(balances: Sequence[dict[str, Any]]) -> int:
    return sum(sum(one["fates"].values()) for one in balances)


def lost(balances: Sequence[dict[str, Any]]) -> int:
    return sum(int(one["lost"]) for one in balances)


# One machine.


@contextmanager
def stopped(directory: Path, *numbers: int) -> Iterator[House]:
    """A house that has counted these events and was stopped."""
    with embedded_house(directory) as house:
        tell(house, *numbers)
        counted_once(house, *numbers)
        assert house.running["run"].end() == 0
        yield house


def remove_log(data: Path) -> None:
    for file in data.glob("log.sqlite*"):
        file.unlink()


def copy_log(data: Path, directory: Path) -> None:
    directory.mkdir()
    for file in data.glob("log.sqlite*"):
        shutil.copy(file, directory)


def put(data: Path, directory: Path) -> None:
    remove_log(data)
    for file in directory.iterdir():
        shutil.copy(file, data)


def test_a_removed_log_is_refused_until_it_is_adopted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with stopped(tmp_path, *range(10)) as house:
        remove_log(data)
        refused(house, "run", "data_dir", "the log file here is", "beleg log adopt")
        declined = subprocess.run(
            [sys.executable, "-m", "beleg", "--config", str(house.config), "log", "adopt"],
            input="n\n", capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert declined.returncode == 1
        assert "nothing was changed" in declined.stdout
        assert "read up to" in declined.stdout
        assert "from its start" in adopted(house)
        assert "there is nothing to adopt" in adopted(house)
        house.start("run")
        assert house.run("log", "adopt", "--yes", check=False).returncode == 2
        tell(house, *range(5, 15))
        counted_once(house, *range(15))
        report = house.ledger_at_rest()
        assert report["holds"] is True
        assert fates(report["partitions"]) >= 10
        assert fates(report["replaced"][0]["partitions"]) >= 10


@pytest.mark.long
def test_a_log_that_was_put_back_reads_on_under_its_own_id(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with stopped(tmp_path, *range(10)) as house:
        copy_log(data, tmp_path / "kept")
        remove_log(data)
        adopted(house)
        house.start("run")
        tell(house, *range(5, 15))
        counted_once(house, *range(15))
        between = house.ledger()
        assert house.running["run"].end() == 0
        put(data, tmp_path / "kept")
        refused(house, "run", "beleg log adopt")
        adopted(house)
        house.start("run")
        tell(house, *range(12, 20))
        counted_once(house, *range(20))
        after = house.ledger()
        assert after["holds"] is True
        assert after["log_id"] == between["replaced"][0]["log_id"]
        assert after["replaced"][0]["log_id"] == between["log_id"]


@pytest.mark.long
def test_a_log_restored_from_an_older_copy_gets_another_id(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with stopped(tmp_path, *range(5)) as house:
        copy_log(data, tmp_path / "older")
        house.start("run")
        tell(house, *range(5, 30))
        counted_once(house, *range(30))
        assert house.running["run"].end() == 0
        put(data, tmp_path / "older")
        house.running["run"] = Process(house.config, "run")
        ended_with(house.running["run"], "log.url", "the store has read it to", "beleg log adopt")
        adopted(house)
        house.start("run")
        tell(house, *range(25, 40))
        counted_once(house, *range(40))
        report = house.ledger_at_rest()
        assert report["holds"] is True
        assert report["partitions"][0]["fates"]["duplicate"] >= 10  # 5 read again, 5 sent again


@pytest.mark.long
@pytest.mark.parametrize("older", [True, False], ids=["older store", "no store"])
def test_an_older_store_reads_on_and_a_new_one_from_the_start(tmp_path: Path, older: bool) -> None:
    data = tmp_path / "data"
    with stopped(tmp_path, *range(5)) as house:
        shutil.copytree(data / "store", tmp_path / "older", symlinks=True)
        house.start("run")
        tell(house, *range(5, 30))
        counted_once(house, *range(30))
        assert house.running["run"].end(signal.SIGKILL) == -signal.SIGKILL
        shutil.rmtree(data / "store")
        if older:
            (tmp_path / "older").rename(data / "store")
        house.start("run")
        counted_once(house, *range(30))
        assert house.ledger()["holds"] is True
