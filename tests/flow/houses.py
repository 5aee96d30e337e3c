"""Beleg as its users run it: real processes, real sockets, in both modes, for flow tests."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from tests.clickhouse_server import Server, client_of, started
from tests.flow.processes import Process, forkable
from tests.kafka_broker import Broker, free_ports
from tests.kafka_cluster import Cluster
from tests.migrated import copy_store
from tests.nursery import run

BROWSER_KEY, SERVER_KEY = "bk_flow_12345678", "sk_flow_12345678"
ORIGIN = "https://shop.example"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
"""What a page is asked for with; the agents of programs are bots'."""
SITE = f"""
[sites.shop]
currency = "EUR"
timezone = "Europe/Berlin"
origins = ["{ORIGIN}"]
browser_keys = ["{BROWSER_KEY}"]
server_keys = ["{SERVER_KEY}"]
"""


class House:
    """A whole Beleg; `roles` are its processes, each of which can be killed and started again.

    A role is a command; a second process of one is `process-2`, with a data directory of its own.
    """

    def __init__(
        self, config: Path, roles: tuple[str, ...], server: ExitStack, store: Server | None = None
    ) -> None:
        self.config = config
        self.store = store
        self._server = server
        self._open, self._asking = ExitStack(), dict[str, Client]()
        self.running: dict[str, Process] = {role: self._process(role, {}) for role in roles}
        self.addresses: dict[str, str] = {}
        for role in roles:
            self.note(role)

    def _process(self, role: str, env: Mapping[str, str]) -> Process:
        command, _, number = role.partition("-")
        if number:
            env = {**env, "BELEG__DATA_DIR": str(self.config.parent / f"data-{number}")}
        return Process(self.config, command, env=env)

    def note(self, role: str) -> None:
        """Return when a process is ready, knowing where it listens."""
        told = self.running[role].ready()
        for name in ("collector", "store"):
            if name in told:
                self.addresses[name] = self.addresses[f"{role} {name}"] = told[name]
        self.addresses[f"{role} admin"] = told["admin"]

    @property
    def url(self) -> str:
        return f"http://{self.addresses['collector']}"

    def launch(self, role: str, env: Mapping[str, str]) -> Process:
        """Start a process without waiting for it."""
        self.running[role] = self._process(role, env)
        return self.running[role]

    def start(self, role: str, env: Mapping[str, str] | None = None) -> Process:
        process = self.launch(role, env or {})
        self.note(role)
        return process

    def resident_bytes(self, role: str) -> int:
        """The memory that a process holds now."""
        status = Path(f"/proc/{self.running[role].popen.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def run(
        self, *arguments: str, check: bool = True, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        words, env = ("beleg", "--config", str(self.config), *arguments), env or {}
        if forkable(env):
            done = run(*words, env=env)
        else:
            command, env = [sys.executable, "-m", *words], {**os.environ, **env}
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    def client(self, **options: Any) -> closing[Client]:
        """An unmodified client on the store."""
        host, port = self.addresses["store"].split(":") if self.store is None else self.store
        return client_of(Server(host, int(port)), database="beleg", **options)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Put a question, all by one client: a new one asks for all settings of the store first."""
        where = self.addresses.get("store", "")
        if where not in self._asking:
            client = self._open.enter_context(self.client(autogenerate_session_id=False))
            self._asking[where] = client
        return [tuple(row) for row in self._asking[where].query(sql).result_rows]

    def wait_until(self, sql: str, expected: object, within_s: float = 120) -> None:
        """Return when the first cell of the answer is the expected one."""
        until = time.monotonic() + within_s
        found: object = None
        while time.monotonic() < until:
            found = self.ask(sql)[0][0]
            if found == expected:
                return
            time.sleep(0.2)
        logs = {role: "".join(process.lines[-20:]) for role, process in self.running.items()}
        raise AssertionError(f"{sql} gives {found!r}, not {expected!r}\n{logs}")

    def ledger(self) -> Mapping[str, Any]:
        done = self.run("ledger", "--json", check=False)
        assert done.stdout, done.stderr
        return dict(json.loads(done.stdout))

    def ledger_at_rest(self, within_s: float = 120) -> Mapping[str, Any]:
        """Give the ledger once nothing on the log is pending.

        Until then a running processor is asked, where the command starts a process each time."""
        until = time.monotonic() + within_s
        while True:
            report = self._ledger_of_a_processor()
            if not pending(report) and not pending(report := self.ledger()):
                return report
            assert time.monotonic() < until, f"something stays pending: {report}"
            time.sleep(0.1)

    def _ledger_of_a_processor(self) -> Mapping[str, Any]:
        """Give what one answers, nothing where none does."""
        for role, process in self.running.items():
            if role.startswith(("run", "process")) and process.popen.poll() is None:
                with suppress(OSError):
                    return ledger_of(self.addresses[f"{role} admin"])
        return {}

    def stop_store(self) -> None:
        """Take the ClickHouse of the many-machines mode away."""
        self._server.close()

    def start_store(self) -> None:
        """Bring it back, with its data, where it was."""
        assert self.store is not None
        path = self.config.parent / "server"
        self._server.enter_context(started(path, "--writable", port=self.store.port))

    def close(self) -> None:
        self._open.close()
        for process in self.running.values():
            process.end(signal.SIGKILL)


def ledger_of(address: str) -> Mapping[str, Any]:
    """Ask an admin listener for the ledger; without partitions where it cannot tell it."""
    try:
        with urllib.request.urlopen(f"http://{address}/ledger", timeout=30) as answer:
            return dict(json.loads(answer.read()))
    except urllib.error.HTTPError as refusal:
        with refusal:
            return dict(json.loads(refusal.read()))


def pending(report: Mapping[str, Any]) -> int:
    """Count the records of a ledger that have no fate yet."""
    return sum(one["pending"] for one in report.get("partitions", ()))


@contextmanager
def embedded_house(
    directory: Path, extra: str = "", listens: str = "127.0.0.1:0", *, new: bool = False
) -> Iterator[House]:
    """`beleg run`: embedded log and chDB in one process; a `new` one has to make its tables."""
    if not new and not (directory / "data" / "store").exists():
        copy_store(directory / "data" / "store")
    config = directory / "beleg.toml"
    config.write_text(
        f"""data_dir = "{directory / "data"}"
collector.listen = "127.0.0.1:0"
admin.listen = "{listens}"
store.listen = "{listens}"
processors.batch_wait_ms = 200
{extra}
{SITE}"""
    )
    house = House(config, ("run",), ExitStack())
    try:
        yield house
    finally:
        house.close()


@contextmanager
def kafka_house(
    directory: Path,
    broker: Broker | Cluster,
    extra: str = "",
    roles: tuple[str, ...] = ("collect", "process"),
    before: Callable[[Server], Server] = lambda server: server,
    *,
    new: bool = False,
) -> Iterator[House]:
    """`beleg collect` and `beleg process` on a real Kafka and the ClickHouse HTTP protocol.

    What `before` gives stands between them and the store."""
    topic = f"collected-{uuid.uuid4().hex[:8]}"
    config = directory / "beleg.toml"
    if not new:
        copy_store(directory / "server")
    with ExitStack() as stack:
        (port,) = free_ports(1)  # which it gets again when it comes back
        server = stack.enter_context(started(directory / "server", "--writable", port=port))
        reached = before(server)
        config.write_text(
            f"""data_dir = "{directory / "data"}"
collector.listen = "127.0.0.1:0"
admin.listen = "127.0.0.1:0"
processors.batch_wait_ms = 200
{extra}
log.url = "kafka://{broker.servers}"
log.topic = "{topic}"
log.group = "{topic}"
log.partitions = 3
store.url = "clickhouse://{reached.host}:{reached.port}/beleg"
{SITE}"""
        )
        until = time.monotonic() + 60
        while (done := run("beleg", "--config", str(config), "migrate")).returncode != 0:
            # A broker that has just come back, or has little time, elects leaders late.
            assert "have a leader" in done.stderr and time.monotonic() < until, done.stderr
        house = House(config, roles, stack, server)
        try:
            yield house
        finally:
            house.close()


@contextmanager
def house_of(
    mode: str,
    directory: Path,
    request: pytest.FixtureRequest,
    extra: str = "",
    *,
    new: bool = False,
) -> Iterator[House]:
    """A house in one of the two modes."""
    with ExitStack() as stack:
        if mode == "embedded":
            yield stack.enter_context(embedded_house(directory, extra, new=new))
        else:
            broker: Broker = request.getfixturevalue("kafka_broker")
            yield stack.enter_context(kafka_house(directory, broker, extra, new=new))
