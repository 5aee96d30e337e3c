"""A crowd of connections: a process keeps the files it needs, does not spin, and recovers."""

import json
import os
import re
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.attacks.wire import BODY
from tests.flow.houses import BROWSER_KEY, SITE
from tests.flow.processes import Process

FILES = 512


def accepted(address: str) -> bool:
    asked = urllib.request.Request(
        f"http://{address}/v1/events",
        BODY,
        {"Authorization": f"Bearer {BROWSER_KEY}", "Content-Type": "text/plain"},
    )
    try:
        with urllib.request.urlopen(asked, timeout=5) as answer:
            return bool(json.load(answer)["accepted"] == 1)
    except OSError:
        return False


def turned_out(admin: str) -> float:
    with urllib.request.urlopen(f"http://{admin}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    (line,) = re.findall(r'^beleg_connections_closed_total{reason="too_many"} (.*)$', text, re.M)
    return float(line)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(tmp_path: Path) -> Iterator[Process]:
    """A whole Beleg that may open few files."""
    config = tmp_path / "beleg.toml"
    config.write_text(
        f'data_dir = "{tmp_path}/data"\n[collector]\nlisten = "127.0.0.1:0"\n'
        f'[admin]\nlisten = "127.0.0.1:0"\n[store]\nlisten = "127.0.0.1:0"\n{SITE}'
    )
    process = Process(config, "run", under=("prlimit", f"--nofile={FILES}"))
    try:
        yield process
        assert process.end() == 0
    finally:
        process.popen.kill()


@pytest.mark.parametrize("listener", ["admin", "store"])
def test_a_crowd_at_another_listener_takes_them_neither(tmp_path: Path, listener: str) -> None:
    """Each has sent half a head; a token would not be asked before the other half."""
    with running(tmp_path) as process:
        told = process.ready(60)
        host, port = str(told[listener]).split(":")
        crowd = [socket.create_connection((host, int(port))) for _ in range(FILES + 100)]
        for one in crowd:
            with suppress(ConnectionError):
                one.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        until = time.monotonic() + 3
        while time.monotonic() < until:
            assert accepted(str(told["collector"]))
        for one in crowd:
            one.close()


def test_a_crowd_does_not_take_the_files_that_the_log_and_the_store_need(tmp_path: Path) -> None:
    with running(tmp_path) as process:
        address = str(process.ready(60)["collector"])
        host, port = address.split(":")
        pid = process.popen.pid
        assert accepted(address)
        crowd = [socket.create_connection((host, int(port))) for _ in range(FILES + 100)]
        used_s, began_at = cpu_s(pid), time.monotonic()
        time.sleep(2)  # nobody who waits can tell how busy it is
        share = (cpu_s(pid) - used_s) / (time.monotonic() - began_at)
        assert turned_out(str(process.ready()["admin"])) >= 100  # full: one more is closed at once
        for one in crowd:
            one.close()
        until = time.monotonic() + 60
        while not accepted(address):
            assert time.monotonic() < until
        assert share < 0.8  # it does not spin; the processor beside it has work of its own
