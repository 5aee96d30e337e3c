"""Several collectors on one port: as safe as one, and one to look at."""

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from spine.log import Entry
from spine.spill import Spill
from tests.flow.houses import ORIGIN, SERVER_KEY, House, kafka_house
from tests.flow.processes import Process
from tests.flow.test_spill import asked, back, broker, landed, until
from tests.flow.test_start import beleg, refused
from tests.kafka_broker import Broker, fresh_topic

__all__ = ["broker"]  # the fixture
_TWO = """collector.workers = 2
collector.withdrawals_max_age_s = 3600
log.append_deadline_ms = 2000
log.spill_after_ms = 300"""
_TOKEN = "t0ken_of_the_operator"
_SENDERS = 6


async def posted(house: House, event_id: str, **others: object) -> bool:
    """Send one event by a connection of its own, so that any worker may get it."""
    event = {
        "event_id": event_id,
        "name": "page_view",
        "occurred_at": datetime.now(UTC).isoformat(),
        "anonymous_id": "a1",
        "page": {"url": f"{ORIGIN}/"},
        "consent": {"purposes": {"analytics": True}},
        **others,
    }
    with suppress(aiohttp.ClientError):
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {SERVER_KEY}"}) as session,
            session.post(f"{house.url}/v1/events", json={"events": [event]}) as answer,
        ):
            return answer.status == 202 and (await answer.json())["accepted"] == 1
    return False


async def send(house: House, accepted: list[str], stop: asyncio.Event) -> None:
    """Send until told to stop; what gets no answer is not sent again."""
    while not stop.is_set():
        event_id = uuid4().hex
        if await posted(house, event_id):
            accepted.append(event_id)


def workers(process: Process) -> dict[int, int]:
    """The process id of each worker that is running."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            words = (status.parent / "cmdline").read_bytes().split(b"\0")
            parent = re.search(r"^PPid:\t(\d+)$", status.read_text(), re.MULTILINE)
            if b"beleg.worker" in words and parent and int(parent[1]) == process.popen.pid:
                found[int(words[words.index(b"beleg.worker") + 1])] = int(status.parent.name)
    return found


def by_worker(house: House, name: str) -> dict[str, float]:
    """A metric without labels, from every worker."""
    text = asked(house, "/metrics")[1]
    found = re.findall(rf'^{name}{{worker="(\d+)"[^}}]*}} (\S+)$', text, re.MULTILINE)
    sums: dict[str, float] = {}
    for worker, value in found:
        sums[worker] = sums.get(worker, 0.0) + float(value)
    return sums


def gone(pids: Sequence[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def lines(process: Process, event: str) -> list[dict[str, object]]:
    found = [json.loads(line) for line in process.lines if line.startswith("{")]
    return [line for line in found if line["event"] == event]


async def test_what_was_accepted_lands_though_a_worker_is_killed_under_load(
    kafka_broker: Broker, tmp_path: Path
) -> None:
    with kafka_house(tmp_path, kafka_broker, _TWO) as house:
        process = house.running["collect"]
        before = workers(process)
        assert set(before) == {0, 1}
        accepted: list[str] = []
        stop = asyncio.Event()
        senders = [asyncio.create_task(send(house, accepted, stop)) for _ in range(_SENDERS)]
        await until(lambda: len(accepted) > 50)
        os.kill(before[1], signal.SIGKILL)
        count = len(accepted)
        await until(lambda: len(accepted) > count + 50)  # the other one goes on
        await until(lambda: workers(process).keys() == {0, 1})
        await until(lambda: asked(house, "/readyz")[0] == 200)
        await until(lambda: by_worker(house, "beleg_requests_total").get("1", 0) > 0)
        stop.set()
        await asyncio.gather(*senders)
        after = workers(process)
        assert after[0] == before[0]
        assert after[1] != before[1]
        assert by_worker(house, "beleg_connections").keys() == {"0", "1"}
        (ended,) = lines(process, "worker ended")
        assert (ended["worker"], ended["exit_code"]) == (1, -9)

        shown = set[str]()
        give_up_at = time.monotonic() + 60
        while not shown >= set(accepted) and time.monotonic() < give_up_at:
            await asyncio.sleep(0.2)
            rows = await asyncio.to_thread(house.ask, "SELECT event_id FROM v_events")
            shown = {event_id for (event_id,) in rows}
            assert len(rows) == len(shown)
        assert set(accepted) <= shown
        assert (await asyncio.to_thread(house.ledger))["holds"] is True

        assert process.end() == 0
        assert gone(list(after.values()))
        assert len(lines(process, "ready")) == 1
        assert [line["worker"] for line in lines(process, "worker ready")].count(1) == 2


@pytest.mark.long
async def test_what_workers_have_kept_lands_though_their_parent_is_killed_and_fewer_come_back(
    broker: Broker, tmp_path: Path
) -> None:
    with kafka_house(tmp_path, broker, _TWO, roles=("collect",)) as house:
        names = [f"e{number}" for number in range(40)]
        await asyncio.to_thread(broker.kill)
        for name in names:
            assert await posted(house, name)
        kept = by_worker(house, "beleg_spill_records")
        assert sum(kept.values()) >= 40
        assert min(kept.values()) > 0
        several = house.running["collect"]
        pids = workers(several)
        os.kill(pids[1], signal.SIGSTOP)
        several.popen.kill()
        await asyncio.to_thread(several.popen.wait, 30)
        one = house.launch("collect", {"BELEG__COLLECTOR__WORKERS": "1"})
        await until(lambda: lines(one, "workers of a killed process drain"))
        await until(lambda: gone([pids[0]]))  # at the end of its channel
        assert not lines(one, "ready")
        os.kill(pids[1], signal.SIGCONT)
        await asyncio.to_thread(one.ready)
        await until(lambda: gone([pids[1]]))
        several.end()  # its log lines came from the workers too
        house.note("collect")
        # Who starts without Kafka does not know what has been withdrawn.
        assert not await posted(house, "not known")
        order = {"transaction_id": "t1", "value": 5}
        assert await posted(house, "later", name="purchase", commerce=order, consent=None)
        text = asked(house, "/metrics")[1]
        assert f"beleg_spill_records {sum(kept.values()) + 1}" in text
        await back(broker)
        await until(lambda: "beleg_spill_records 0.0" in asked(house, "/metrics")[1])
        await asyncio.to_thread(house.start, "process")
        await landed(house, [*names, "later"])


def collectors(directory: Path, broker: Broker) -> Path:
    """Settings of two collectors without anybody who lands what they take."""
    config = directory / "beleg.toml"
    config.write_text(
        f"""data_dir = "{directory / "data"}"
collector.listen = "127.0.0.1:0"
collector.workers = 2
admin.listen = "127.0.0.1:0"
admin.token = "{_TOKEN}"
log.url = "kafka://{broker.servers}"
log.topic = "{fresh_topic()}"
log.append_deadline_ms = 2000
store.url = "clickhouse://127.0.0.1:9/beleg"
processors.drain_deadline_s = 3
"""
    )
    return config


async def test_readiness_is_that_of_all_workers_and_tells_its_reasons_to_who_knows_the_token(
    kafka_broker: Broker, tmp_path: Path
) -> None:
    config = collectors(tmp_path, kafka_broker)
    process = Process(config, "collect")
    try:
        admin = f"http://{process.ready()['admin']}"
        stopped = workers(process)[1]
        os.kill(stopped, signal.SIGSTOP)
        known = {"Authorization": f"Bearer {_TOKEN}"}
        questions = [("/readyz", {}), ("/readyz", known), ("/metrics", known), ("/metrics", {})]
        async with aiohttp.ClientSession() as session:
            shut, reason, metrics, refusal = await asyncio.gather(
                *(answered(session, f"{admin}{path}", headers) for path, headers in questions)
            )
        assert shut == (503, "not ready\n")
        assert reason == (503, "worker 1: it does not answer\n")
        assert metrics[0] == 200
        assert 'beleg_connections{worker="0"}' in metrics[1]
        assert 'worker="1"' not in metrics[1]
        assert refusal[0] == 401
        # One that hangs is not waited for longer than is said.
        assert await asyncio.to_thread(process.end) == 1
        assert gone([stopped])
    finally:
        process.end(signal.SIGKILL)


async def answered(
    session: aiohttp.ClientSession, url: str, headers: dict[str, str]
) -> tuple[int, str]:
    async with session.get(url, headers=headers) as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize("command", ["run", "check"])
def test_the_embedded_log_has_one_worker(tmp_path: Path, command: str) -> None:
    done = beleg(command, cwd=tmp_path, BELEG__COLLECTOR__WORKERS="2")
    refused(done, "collector.workers", "set it to 1")


def test_what_stops_a_worker_at_the_start_stops_all_with_its_sentence(tmp_path: Path) -> None:
    env = {
        "BELEG__COLLECTOR__WORKERS": "3",
        "BELEG__COLLECTOR__LISTEN": "127.0.0.1:0",
        "BELEG__ADMIN__LISTEN": "127.0.0.1:0",
        "BELEG__LOG__URL": "kafka://127.0.0.1:9",
        "BELEG__LOG__APPEND_DEADLINE_MS": "500",
        "BELEG__STORE__URL": "clickhouse://127.0.0.1:9/beleg",
    }
    refused(beleg("collect", cwd=tmp_path, **env), "log.url", "127.0.0.1:9")


def test_a_worker_that_may_not_go_on_ends_the_others(tmp_path: Path, kafka_broker: Broker) -> None:
    config = collectors(tmp_path, kafka_broker)
    spill = Spill.open(tmp_path / "data" / "spill-1", "kafka:another", 1 << 20)
    spill.meet("kafka:another")
    spill.append([Entry(bytes(32), b"waits")])
    spill.close()
    done = beleg("--config", str(config), "collect", cwd=tmp_path)
    refused(done, "log.topic: 1 records in", "spill-1 wait for kafka:another")
    assert _TOKEN not in done.stderr
