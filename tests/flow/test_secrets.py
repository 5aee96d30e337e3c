"""No secret leaves the process: not by a log line, an answer, a metric, a title or a traceback.

What stands in the environment can be read in /proc by the same user; nothing can hide it there."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clickhouse_server import client_of, started
from tests.flow.houses import House, embedded_house
from tests.nursery import run

MARK = "canary"
ADMIN, STORE = f"{MARK}_admin_token_0123", f"{MARK}_store_token_0123"
SERVER_KEY = f"sk_{MARK}_01234567"
EXTRA = f"""
admin.token = "{ADMIN}"
store.token = "{STORE}"
log.username = "beleg"
log.password = "{MARK}_kafka_password"
log.sasl_mechanism = "SCRAM-SHA-512"
[sites.hidden]
server_keys = ["{SERVER_KEY}"]
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with embedded_house(tmp_path, EXTRA) as house:
        assert house.running["run"].end() == 0
        house.start("run", {"PYTHONUNBUFFERED": "1"})  # from nothing: with a title of its own
        yield house


def fetched(url: str, body: bytes | None = None, **headers: str) -> str:
    """Everything that comes back, head and body."""
    asking = urllib.request.Request(url, data=body, headers=headers)
    try:
        with urllib.request.urlopen(asking, timeout=60) as answer:
            return f"{answer.headers}{answer.read().decode()}"
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.headers}{error.read().decode()}"


def answers(house: House) -> Iterator[str]:
    admin, store = house.addresses["run admin"], house.addresses["store"]
    for token in (ADMIN, ADMIN + "x"):
        for path in (
            "/healthz",
            "/readyz",
            "/metrics",
            "/ledger",
            "/events/x",
            "/openapi.json",
            "/x",
        ):
            yield fetched(f"http://{admin}{path}", Authorization=f"Bearer {token}")
    for key in (STORE, STORE + "x"):
        for query in (
            "SELECT * FROM system.settings FORMAT JSON",
            "SELECT * FROM system.tables FORMAT JSON",
            "SELECT nope",
            "SELECT * FROM system.query_log",
        ):
            yield fetched(f"http://{store}/?password={key}", query.encode())
            yield fetched(f"http://{store}/", query.encode(), **{"X-ClickHouse-Key": key})
    for key in (SERVER_KEY, SERVER_KEY + "x"):
        for body in (b"{", b"{}", b'{"name": "page_view", "event_id": "e"}'):
            yield fetched(f"{house.url}/v1/events", body, Authorization=f"Bearer {key}")
            yield fetched(f"{house.url}/v1/events?key={key}", body)


def test_a_running_house_tells_no_secret(house: House) -> None:
    told = list(answers(house))
    assert any("beleg_build_info" in text for text in told)
    assert any("system.settings" in text or '"max_threads"' in text for text in told)
    process = house.running["run"]
    title = Path(f"/proc/{process.popen.pid}/cmdline").read_text()
    assert "beleg" in title
    for command in (["check"], ["ledger"], ["trace", "x"], ["--help"], ["run", "--help"], ["run"]):
        done = house.run(*command, check=False)
        told += [done.stdout, done.stderr]
    assert process.end() == 0
    for text in (*told, title, *process.lines):
        assert MARK not in text


def test_a_crash_tells_no_secret(tmp_path: Path) -> None:
    with embedded_house(tmp_path, EXTRA) as house:
        assert house.running["run"].end() == 0
        # what nobody foresaw: a table that the program knows is not there any more
        with started(tmp_path / "data/store", "--writable") as server, client_of(server) as client:
            client.command("DROP TABLE beleg.derive_versions")
        crashed = house.launch("run", {})
        assert crashed.popen.wait(60) != 0
        crashed.end()
        assert "Traceback" in "".join(crashed.lines)
        assert MARK not in "".join(crashed.lines)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BELEG__LOG__PASSWORD", f"[{MARK}]"),
        ("BELEG__SITES__HIDDEN__SERVER_KEYS", f"[{MARK}_0123456"),
        ("BELEG__SITES__HIDDEN__SERVER_KEYS", f"{MARK}_0123456"),
        ("BELEG__SITES__HIDDEN__SERVER_KEYS", f"['{MARK}']"),
        ("BELEG__ADMIN__TOKEN", f"{MARK} with a space in it"),
        ("BELEG__STORE__TOKEN", MARK),
        ("BELEG__STORE__URL", f"clickhouse://beleg:{MARK}/x@a:8123/beleg"),
        ("BELEG__STORE__URL", f"postgres://beleg:{MARK}@a:8123/beleg"),
        ("BELEG__STORE__URL", f"clickhouse://beleg:{MARK}@127.0.0.1:9/beleg"),
        ("BELEG__LOG__URL", f"kafka://beleg:{MARK}@a:9092"),
    ],
)
def test_a_setting_that_is_refused_is_named_and_not_quoted(
    tmp_path: Path, variable: str, value: str
) -> None:
    environment = {variable: value}
    if variable == "BELEG__STORE__URL":
        environment["BELEG__LOG__URL"] = "kafka://127.0.0.1:9"
        environment["BELEG__LOG__APPEND_DEADLINE_MS"] = "300"
    done = run("beleg", "check", cwd=tmp_path, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("beleg: ")
    assert MARK not in done.stdout + done.stderr
