"""`EmbeddedLog`: the log on one machine, a SQLite file in WAL mode with full sync.

Invariants:

1. One writer thread commits whatever appends are waiting as one transaction (group commit);
   who waits is told after that commit, which SQLite fsyncs, all of them in one go.
2. An offset is the row id less one. The row id is AUTOINCREMENT, so an offset never comes twice,
   whatever is deleted.
3. Rows are deleted only below the committed offset: after `retention_s`, and at `max_bytes` the
   oldest of them at once, so that what has landed never keeps new events out. None is deleted
   before the reader has said where it begins: its store may be older than the file thinks.
4. The file is made with a random log id; a file that is replaced is another log.
"""

import asyncio
import contextlib
import queue
import shutil
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from spine.embedded.file import bounds, connect, fullness, prepare
from spine.errors import Misconfigured, Unavailable
from spine.failpoint import reach
from spine.log import Appends, Batch, Bounds, Entry, Range, Record, Resume, Settled, tell

_SWEEP_EVERY_S = 1.0
_SWEEP_ROWS = 50_000
_QUEUE_APPENDS = 20_000
_ROOM_BYTES = 1 << 20
_NO_WRITER = "the writer of the embedded log has ended"


class _Append(NamedTuple):
    values: list[bytes]
    settled: Settled


class EmbeddedLog(Appends):
    """A `Log` with one partition, in one file, read by one process.

    Open it with `EmbeddedLog.open`; it is used from one event loop. Another process may append
    beside it; its values are read within `batch_wait_ms`."""

    name = "embedded"
    partitions = 1

    def __init__(
        self,
        path: Path,
        log_id: str,
        batch_records: int,
        batch_wait_ms: int,
        max_bytes: int,
        retention_s: float,
    ) -> None:
        self.log_id = log_id
        self._path = path.resolve()  # importing chDB leaves the directory for a moment
        self._batch_records = batch_records
        self._batch_wait_s = batch_wait_ms / 1000
        self._max_bytes = max_bytes
        self._retention_s = retention_s
        self._appends: queue.Queue[_Append | None] = queue.Queue(_QUEUE_APPENDS)
        self._appended = asyncio.Event()
        self._full: str | None = None
        self._sweeps = False
        self._in_hand: list[_Append] = []
        self._ended = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._reader = connect(path)
        self._reading = threading.Lock()
        self._writer = threading.Thread(target=self._write, name="embedded-log", daemon=True)
        self._writer.start()

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        batch_records: int,
        batch_wait_ms: int,
        max_bytes: int,
        retention_s: float,
    ) -> "EmbeddedLog":
        """Open the log at `path`, making it if there is none. Raises: Misconfigured."""
        try:
            log_id = await asyncio.to_thread(prepare, path)
        except (OSError, sqlite3.Error) as error:
            raise Misconfigured("data_dir", f"the log {path} cannot be opened: {error}") from error
        return cls(path, log_id, batch_records, batch_wait_ms, max_bytes, retention_s)

    def put(self, entries: Sequence[Entry], settled: Settled) -> None:
        """Take values; what is told is that they are on disk, synced."""
        try:
            self._appends.put_nowait(_Append([entry.value for entry in entries], settled))
        except queue.Full:
            settled(Unavailable("the embedded log has too many appends waiting"))
        if self._ended.is_set():  # after the put: what the writer's last look missed, this finds
            self._told(self._left(), Unavailable(_NO_WRITER))

    def _tell(self, appends: Sequence[_Append], trouble: Exception | None) -> None:
        """Tell who waits, from the writer's thread."""
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
            self._loop.call_soon_threadsafe(self._told, appends, trouble)

    def _told(self, appends: Sequence[_Append], trouble: Exception | None) -> None:
        if trouble is None:
            self._appended.set()
        tell(self._loop, [append.settled for append in appends], trouble)

    async def batches(self, resume: Resume) -> AsyncIterator[Batch]:
        """Yield batches from where `resume` says; what comes while one is worked on waits then."""
        offset = (await resume([0]))[0]
        await asyncio.to_thread(self._commit, "?", offset)
        self._sweeps = True
        due_s = time.monotonic() + self._batch_wait_s
        while True:
            self._appended.clear()
            records = await self.read(0, offset, self._batch_records)
            if not records:
                # Not `wait_for`: before Python 3.12 it swallows a cancel that meets an append.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._batch_wait_s):
                        await self._appended.wait()
                due_s = time.monotonic() + self._batch_wait_s
                continue
            if len(records) < self._batch_records and (wait_s := due_s - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
                records = await self.read(0, offset, self._batch_records)
            due_s, offset = time.monotonic() + self._batch_wait_s, records[-1].offset + 1
            yield Batch(records, [Range(0, records[0].offset, offset)])

    async def commit(self, batch: Batch) -> None:
        """Remember what has landed: retention may delete below it."""
        following = max(covered.next_offset for covered in batch.ranges)
        await asyncio.to_thread(self._commit, "max(committed, ?)", following)

    def _commit(self, expression: str, offset: int) -> None:
        # One that fails keeps rows for longer than it must; the next one makes up for it.
        with self._reading, contextlib.suppress(sqlite3.Error):
            self._reader.execute(f"UPDATE about SET committed = {expression}", (offset,))

    async def rename(self, log_id: str) -> None:
        """Let this file be another log from now on."""
        await asyncio.to_thread(self._rename, log_id)
        self.log_id = log_id

    def _rename(self, log_id: str) -> None:
        with self._reading:
            self._reader.execute("UPDATE about SET log_id = ?", (log_id,))

    async def bounds(self) -> Mapping[int, Bounds]:
        """Answer with the first offset kept and the next one to come. Raises: Unavailable."""
        return {0: await asyncio.to_thread(self._bounds)}

    def _bounds(self) -> Bounds:
        with self._reading, _translated():
            return bounds(self._reader)

    async def read(self, partition: int, offset: int, limit: int) -> Sequence[Record]:
        """Answer with up to `limit` records from `offset` on, without waiting."""
        return await asyncio.to_thread(self._read, offset, limit) if partition == 0 else []

    def _read(self, offset: int, limit: int) -> Sequence[Record]:
        with self._reading, _translated():
            rows = self._reader.execute(
                "SELECT id - 1, value, appended_ms FROM records WHERE id > ? ORDER BY id LIMIT ?",
                (offset, limit),
            ).fetchall()
        return [Record(0, *row) for row in rows]

    async def ready(self) -> None:
        """Return if an append would be taken now. Raises: Unavailable."""
        if self._full is not None:
            raise Unavailable(self._full, 10)
        if self._ended.is_set():
            raise Unavailable(_NO_WRITER)

    async def close(self) -> None:
        """Commit what is waiting, then close the file."""
        self._appends.put(None)
        await asyncio.to_thread(self._writer.join)
        self._reader.close()

    def _write(self) -> None:
        try:
            self._write_until_told()
        finally:  # also where a bug ends it: nobody may wait for a writer that is gone
            self._ended.set()
            self._tell([*self._in_hand, *self._left()], Unavailable(_NO_WRITER))

    def _write_until_told(self) -> None:
        connection = connect(self._path)
        connection.execute("PRAGMA synchronous = FULL")
        swept_at = 0.0
        stopping = False
        while not stopping:
            waiting = self._waiting()
            self._in_hand = [append for append in waiting if append is not None]
            stopping = len(self._in_hand) < len(waiting)
            if self._in_hand:
                error = self._append_all(connection, self._in_hand)
                self._tell(self._in_hand, error)
            self._in_hand = []
            if time.monotonic() - swept_at > _SWEEP_EVERY_S:
                swept_at = time.monotonic()
                if self._sweeps:
                    self._sweep(connection, self._retention_s)
                if self._full is not None:  # nobody may ask again while `ready` says no
                    self._try_again(connection)
        connection.close()

    def _waiting(self, wait_s: float = _SWEEP_EVERY_S) -> list[_Append | None]:
        """Take every append that waits, or none after a while."""
        waiting: list[_Append | None] = []
        with contextlib.suppress(queue.Empty):
            waiting.append(self._appends.get(wait_s > 0, wait_s or None))
            while True:
                waiting.append(self._appends.get_nowait())
        return waiting

    def _left(self) -> list[_Append]:
        return [append for append in self._waiting(0) if append is not None]

    def _try_again(self, connection: sqlite3.Connection) -> None:
        """Find out whether an append would be taken again."""
        # Something small may find its place on a full disk, and would prove nothing.
        with contextlib.suppress(OSError, sqlite3.Error):
            if shutil.disk_usage(self._path.parent).free >= _ROOM_BYTES:
                self._make_room(connection)

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Find out whether the log is full, and whether what has landed can go."""
        self._full = fullness(connection, self._max_bytes)
        if self._full is not None and self._sweeps and self._sweep(connection, 0):
            self._full = fullness(connection, self._max_bytes)

    def _append_all(
        self, connection: sqlite3.Connection, appends: Sequence[_Append]
    ) -> Exception | None:
        now_ms = time.time_ns() // 1_000_000
        try:
            self._make_room(connection)
            if self._full is not None:
                return Unavailable(self._full, 10)
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(
                    "INSERT INTO records (value, appended_ms) VALUES (?, ?)",
                    [(value, now_ms) for append in appends for value in append.values],
                )
                reach("before the append's commit")
            reach("after the append's commit")
        except sqlite3.Error as error:
            self._full = f"the embedded log cannot write: {error}"
            return Unavailable(self._full, 5)
        return None

    @staticmethod
    def _sweep(connection: sqlite3.Connection, older_than_s: float) -> bool:
        """Delete some of the oldest rows that have landed, with 0 whatever the clock says; say
        whether there were any."""
        # A sweep that fails only keeps rows for longer; the next append tells what is wrong.
        reach("before the sweep")
        with contextlib.suppress(sqlite3.Error):
            ((last,),) = connection.execute(
                "SELECT min(committed, (SELECT min(id) FROM records) + ?) FROM about",
                (_SWEEP_ROWS,),
            ).fetchall()
            # Up to the first that stays, for older times may stand behind it when the clock was
            # put back, and a position must not go from between others.
            ((stays,),) = connection.execute(
                "SELECT min(id) FROM records WHERE ? AND id <= ? AND appended_ms > ?",
                (older_than_s > 0, last, time.time_ns() // 1_000_000 - int(older_than_s * 1000)),
            ).fetchall()
            swept = connection.execute(
                "DELETE FROM records WHERE id < ifnull(?, ? + 1)", (stays, last)
            )
            reach("after the sweep")
            return swept.rowcount > 0
        return False


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Unavailable(f"the embedded log cannot be read: {error}", 5) from error
