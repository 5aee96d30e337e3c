"""What tests of several rooms share: the services they run against."""

import asyncio
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import settings

from spine.store import Store
from tests.clickhouse_server import Server, started
from tests.flow.derived import close_stores
from tests.kafka_broker import Broker, running_broker
from tests.kafka_jars import what_is_missing
from tests.migrated import copy_store

_MEMORY, _ROOM_BYTES = Path("/dev/shm"), 4 << 30


# A machine that stops for a moment has not found a slow example.
settings.register_profile("no deadline", settings.default, deadline=None)
settings.load_profile("no deadline")


def pytest_configure() -> None:
    """Let what tests write lie in memory where there is room: a store syncs every part it inserts,
    most of the time of many a test, and none can see what a disk would have lost without."""
    room = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES
    if room and "TMPDIR" not in os.environ:
        os.environ["TMPDIR"], tempfile.tempdir = str(_MEMORY), None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long goes first, so that workers who share the files end together."""
    items.sort(key=lambda item: item.path.parent.name not in ("contract", "faults", "flow"))


def pytest_collection_finish() -> None:
    """Let the search for cycles leave alone what thousands of tests are made of: that takes a fifth
    of a second each time, and tests of a Kafka log search after each."""
    gc.freeze()


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
    directory = tmp_path_factory.mktemp("clickhouse")
    copy_store(directory)
    with started(directory, "--writable") as server:
        yield server
        asyncio.run(close_stores(server))


@pytest.fixture(scope="session")
def chdb_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one directory chDB may have open in this process."""
    return tmp_path_factory.mktemp("chdb")


@pytest.fixture(scope="session")
def embedded_store(chdb_dir: Path) -> Iterator[Store]:
    """One embedded store with its tables, for the whole session: chDB opens one directory per
    process. Tests keep apart by the names of their sites and logs."""
    if not (chdb_dir / "store").exists():
        copy_store(chdb_dir / "store")
    opened = asyncio.run(Store.open("embedded", chdb_dir))
    yield opened
    asyncio.run(opened.close())


@pytest.fixture(scope="session")
def store(embedded_store: Store) -> Store:
    """The same; a file may have another one of its own."""
    return embedded_store


@pytest.fixture
def site() -> str:
    """A site of the test's own."""
    return f"s{uuid4().hex[:12]}"
