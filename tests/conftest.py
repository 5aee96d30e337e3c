"""What tests of several rooms share: the services they run against."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clickhouse_server import Server, started
from tests.kafka_broker import Broker, running_broker, what_is_missing


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[Broker]:
    """One running broker for the whole session; a test that kills it must start it again."""
    missing = what_is_missing()
    if missing is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    with running_broker() as broker:
        yield broker


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The real engine behind ClickHouse's HTTP interface, writable, one for the whole session."""
    with started(tmp_path_factory.mktemp("clickhouse"), "--writable") as server:
        yield server


@pytest.fixture(scope="session")
def chdb_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one directory chDB may have open in this process."""
    return tmp_path_factory.mktemp("chdb")
