"""A stand-in for a ClickHouse server: the real engine behind ClickHouse's HTTP interface."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from tests.nursery import Child


class Server(NamedTuple):
    host: str
    port: int


def client_of(server: Server, **options: Any) -> closing[Client]:
    """An unmodified client of its own, closed at the end of a `with`."""
    return closing(clickhouse_connect.get_client(**server._asdict(), **options))


@contextmanager
def started(path: Path, *options: str, port: int = 0) -> Iterator[Server]:
    """Serve a chDB directory from a process of its own: chDB takes one directory per process."""
    listen = ("--listen", f"127.0.0.1:{port}")
    with closing(Child("reports.endpoint", str(path), *listen, *options)) as process:
        host, _, bound = process.stdout.readline().strip().rpartition(":")
        yield Server(host, int(bound))
        process.terminate()
        assert process.wait(timeout=90) == 0, process.stderr.read()
