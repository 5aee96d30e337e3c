"""The store: one class over clickhouse-connect, ClickHouse over HTTP or chDB in this process.

The same SQL runs on both. Every insert is idempotent by its rows, because the driver may repeat one
after a lost connection, and because a batch may be landed again after a crash.
"""

import asyncio
import base64
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver import options
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, ProgrammingError

from spine.errors import Misconfigured, Unavailable
from spine.migrations import migrations, statements, views
from spine.mutation import WAKES_EVERY_S, wake
from spine.store_trouble import brief, translated
from spine.trust import trusting

Row = tuple[Any, ...]
T = TypeVar("T")

DERIVE_VERSION = 4
"""Raised when derived rows would come out otherwise than by the code before."""

DATABASE = "beleg"

_SETTINGS = {
    "async_insert": 0,
    "insert_deduplicate": 0,
    "optimize_on_insert": 0,  # collapses an insert within itself: half its cost, and no need of it
    "max_partitions_per_insert_block": 0,  # a backfill reaches over years of days
    "priority": 1,  # before the readers of the same engine (`reports.engine`)
    "max_query_size": 1 << 28,  # the keys a batch touched travel inside the statement
}
_UNKNOWN_DATABASE = 81


class Store:
    """Where rows rest; opened with `Store.open`, used from one event loop.

    Writes and reads have a connection each, so that a question does not wait for a batch."""

    def __init__(self, writer: Client, reader: Client, path: Path | None) -> None:
        self._writer = writer
        self._reader = reader
        self.path = path

    @classmethod
    async def open(
        cls, url: str, data_dir: Path, *, makes: bool = False, ca_file: str = ""
    ) -> "Store":
        """Open the store; a server's database is made only for who `makes` it.

        Raises: Misconfigured, Unavailable."""
        if url == "embedded":
            return await asyncio.to_thread(cls._open_embedded, data_dir)
        return await asyncio.to_thread(cls._open_remote, url, makes, ca_file)

    @classmethod
    def _open_embedded(cls, data_dir: Path) -> "Store":
        path = data_dir.resolve() / "store"
        try:
            path.mkdir(parents=True, exist_ok=True)
            _use_temporary(data_dir.resolve() / "tmp")
            writer = clickhouse_connect.get_client(dsn=f"chdb://{path}")
            writer.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
            clients = [
                clickhouse_connect.get_client(
                    dsn=f"chdb://{path}", database=DATABASE, settings=settings
                )
                for settings in (_SETTINGS, {})
            ]
        except (DatabaseError, ProgrammingError) as error:
            raise Misconfigured(
                "data_dir",
                f"the store {path} cannot be opened, is another process using it? {error}",
            ) from error
        except OSError as error:
            raise Misconfigured(
                "data_dir", f"{data_dir} cannot be written: {error.strerror}"
            ) from error
        writer.close()
        return cls(clients[0], clients[1], path)

    @classmethod
    def _open_remote(cls, url: str, makes: bool, ca_file: str) -> "Store":
        parts = urlsplit(url)
        secure = parts.scheme == "clickhouses"
        trusting("store.ca_file", ca_file)
        database = parts.path.strip("/") or DATABASE
        options: dict[str, Any] = {
            "host": parts.hostname or "127.0.0.1",
            "port": parts.port or (8443 if secure else 8123),
            "username": unquote(parts.username or "default"),
            "password": unquote(parts.password or ""),
            "secure": secure,
            "ca_cert": ca_file or None,
            "autogenerate_session_id": False,
            "connect_timeout": 5,
            "send_receive_timeout": 300,
        }
        try:
            with translated():
                if makes:
                    first = clickhouse_connect.get_client(**options, database="default")
                    first.command(f"CREATE DATABASE IF NOT EXISTS {database}")
                    first.close()
                clients = [
                    clickhouse_connect.get_client(**options, database=database, settings=settings)
                    for settings in (_SETTINGS, {})
                ]
        except Unavailable as trouble:
            where = f"{options['host']}:{options['port']}"
            key = "store.ca_file" if "CERTIFICATE_VERIFY_FAILED" in trouble.what else "store.url"
            what = f"{key}: no ClickHouse answers at {where} ({trouble.what})"
            raise Unavailable(what, 5) from trouble
        except DatabaseError as error:
            why = f"the server does not let us in: {brief(error)}"
            if getattr(error, "code", None) == _UNKNOWN_DATABASE:
                why = f"there is no database {database} yet: run `beleg migrate`"
            raise Misconfigured("store.url", why) from error
        return cls(clients[0], clients[1], None)

    @classmethod
    async def ask(cls, address: str, ticket: str = "") -> "Store":
        """Open the embedded store of a running process for questions, through its read endpoint.

        Shape: the ticket stands in its lock, where it asks for passwords. Raises: Unavailable."""
        host, port = address.rsplit(":", 1)

        def connect() -> Client:
            with translated():
                return clickhouse_connect.get_client(
                    host=host.strip("[]"),
                    port=int(port),
                    password=ticket,
                    database=DATABASE,
                    autogenerate_session_id=False,
                )

        reader = await asyncio.to_thread(connect)
        return cls(reader, reader, None)

    async def insert(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Insert rows given as columns of equal length; nothing when there are none.

        Raises: Unavailable; rows may then be there or not, and inserting them again is safe."""
        if not next(iter(columns.values()), ()):
            return
        names, values = list(columns), list(columns.values())
        await self._in_thread(
            lambda: self._writer.insert(table, values, column_names=names, column_oriented=True)
        )

    async def command(self, sql: str) -> None:
        """Run a statement that writes. Raises: Unavailable."""
        await self._in_thread(lambda: self._writer.command(sql))

    async def mutate(self, table: str, change: str) -> None:
        """Run a statement that changes parts of a table, to its end in all. Raises: Unavailable."""
        changing = asyncio.create_task(self.command(change))
        try:
            while not (await asyncio.wait({changing}, timeout=WAKES_EVERY_S))[0]:
                await self._in_thread(lambda: wake(self._reader, table))
            await changing
        finally:
            changing.cancel()

    async def select(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Ask a question. Raises: Unavailable."""
        return await self._in_thread(lambda: self._select(self._reader, sql, parameters))

    async def select_after_write(self, sql: str) -> list[Row]:
        """Ask on the writing connection: what was inserted before is seen. Raises: Unavailable."""
        return await self._in_thread(lambda: self._select(self._writer, sql, None))

    async def select_packed(self, sql: str) -> bytes:
        """Ask for one column of digests as `select_after_write` does; give them one after another.

        As Python objects two million would take a second, and 100 MB. Raises: Unavailable."""
        return await self._in_thread(lambda: self._writer.raw_query(sql, fmt="RowBinary"))

    @staticmethod
    def _select(client: Client, sql: str, parameters: Mapping[str, Any] | None) -> list[Row]:
        return [
            tuple(row) for row in client.query(sql, parameters=dict(parameters or {})).result_rows
        ]

    async def _in_thread(self, work: Callable[[], T]) -> T:
        def guarded() -> T:
            with translated():
                return work()

        return await asyncio.to_thread(guarded)

    async def ready(self) -> None:
        """Return if the store answers. Raises: Unavailable."""
        await self.select("SELECT 1")

    async def migrate(self, say: Callable[[str], None]) -> None:
        """Bring tables and views to this program's version; safe to repeat.

        Raises: Misconfigured."""
        await self.command(
            "CREATE TABLE IF NOT EXISTS migrations (number UInt32, name String,"
            " applied_at DateTime64(3, 'UTC')) ENGINE = ReplacingMergeTree ORDER BY number"
        )
        done = {row[0] for row in await self.select("SELECT number FROM migrations")}
        known = migrations()
        _refuse_newer(done, known)
        missing = [number for number in known if number not in done]
        for number in missing:
            name, text = known[number]
            say(f"migration {name}")
            # Views come before the last number is noted: who is killed between lays them again.
            laid = views() if number == missing[-1] else []
            for statement in [*statements(text), *laid]:
                await self.command(statement)
            await self.command(f"INSERT INTO migrations SELECT {number}, '{name}', now64(3, 'UTC')")
        await self.command(
            f"INSERT INTO derive_versions SELECT {DERIVE_VERSION}, now64(3, 'UTC')"
            f" WHERE {DERIVE_VERSION} > (SELECT max(version) FROM derive_versions)"
        )

    async def check_version(self) -> None:
        """Return if this program and the store's tables fit. Raises: Misconfigured."""
        known = migrations()
        if not await self.select(
            "SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = 'migrations'"
        ):
            raise Misconfigured("store.url", "the store has no tables yet: run `beleg migrate`")
        done = {row[0] for row in await self.select("SELECT number FROM migrations")}
        _refuse_newer(done, known)
        if missing := set(known) - done:
            raise Misconfigured(
                "store.url", f"the store lacks migration {min(missing)}: run `beleg migrate`"
            )
        ((version,),) = await self.select("SELECT max(version) FROM derive_versions")
        refuse_newer_rows(int(version))

    async def close(self) -> None:
        """Let go of both connections."""
        await asyncio.to_thread(self._writer.close)
        await asyncio.to_thread(self._reader.close)


def without_data_frames() -> None:
    """Let the driver take no rows of this process for a data frame.

    To tell one it imports pandas, which chDB brings: a tenth of a second of CPU, and 50 MB."""
    options.pd = options.pd_time_test = None


def packed(digests: Iterable[bytes]) -> str:
    """Write 16-byte digests as a set for `IN (…)`.

    A list of literals would cost 7 µs each to parse; one base64 text does not."""
    blob = base64.b64encode(b"".join(digests)).decode()
    return (
        "(SELECT reinterpretAsFixedString(arrayJoin("
        f"reinterpret(base64Decode('{blob}'), 'Array(UInt128)'))))"
    )


def refuse_newer_rows(version: int) -> None:
    """Return if this program may derive into a store of that derive version.

    Raises: Misconfigured."""
    if version > DERIVE_VERSION:
        raise Misconfigured(
            "store.url",
            f"its derived rows are of version {version}, this program derives version"
            f" {DERIVE_VERSION}: run the newer program",
        )


def _refuse_newer(done: set[int], known: Mapping[int, object]) -> None:
    if done - set(known):
        raise Misconfigured(
            "store.url", "the store was migrated by a newer version of Beleg; run that version"
        )


def _use_temporary(path: Path) -> None:
    # The driver's chDB backend writes each insert to a temporary file and leaves it behind when
    # the process is killed. Event bytes must not lie outside data_dir, nor stay there.
    path.mkdir(parents=True, exist_ok=True)
    for leftover in path.iterdir():
        if not leftover.is_dir():
            leftover.unlink()
    tempfile.tempdir = str(path)
