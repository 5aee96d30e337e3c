"""`EmbeddedControl`: the control log on one machine, a table in the file of the embedded log.

Invariants:

1. `append` returns after a commit that SQLite fsyncs.
2. A value that replaces another one gets a higher id than all before, so who follows sees it. Ids
   never come twice (AUTOINCREMENT).
3. It has a thread of its own: whatever else a process waits for, what was withdrawn stays known.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from spine.control.log import Page
from spine.embedded.file import connect
from spine.errors import Unavailable
from spine.failpoint import reach

_PAGE_VALUES = 200

_T = TypeVar("_T")


class EmbeddedControl:
    """A `spine.control.followed.ControlLog` in a file that the embedded log has made."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()  # importing chDB leaves the directory for a moment
        self._reader = connect(self._path)
        self._writer = connect(self._path)
        self._writer.execute("PRAGMA synchronous = FULL")
        self._disk = ThreadPoolExecutor(1, "control")
        self._appended = asyncio.Event()

    async def open(self) -> None:
        """Return at once: the file is there."""

    async def append(self, key: bytes, value: bytes) -> None:
        """Return once the value is on disk, synced. Raises: Unavailable."""
        await self._in_thread(lambda: self._append(key, value))
        self._appended.set()

    async def end(self) -> int:
        """Give the highest id that was ever given. Raises: Unavailable."""
        return await self._in_thread(self._end)

    async def read(self, position: int, wait_s: float) -> Page:
        """Give some values behind an id; waits up to so long for one. Raises: Unavailable."""
        self._appended.clear()
        page = await self._in_thread(lambda: self._read(position))
        if not page.values:
            # Not `wait_for`: before Python 3.12 it swallows a cancel that meets an append.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._appended.wait()
        return page

    async def close(self) -> None:
        """Close the file."""
        await self._in_thread(self._close)
        self._disk.shutdown()

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work)

    def _close(self) -> None:
        self._writer.close()
        self._reader.close()

    def _append(self, key: bytes, value: bytes) -> None:
        with _translated(), self._writer:
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.execute(
                "INSERT OR REPLACE INTO control (key, value) VALUES (?, ?)", (key, value)
            )
            reach("before the control commit")

    def _end(self) -> int:
        with _translated():
            row = self._reader.execute(
                "SELECT seq FROM sqlite_sequence WHERE name = 'control'"
            ).fetchone()
        return row[0] if row else 0

    def _read(self, position: int) -> Page:
        with _translated():
            rows: Sequence[tuple[int, bytes]] = self._reader.execute(
                "SELECT id, value FROM control WHERE id > ? ORDER BY id LIMIT ?",
                (position, _PAGE_VALUES),
            ).fetchall()
        return Page([value for _, value in rows], rows[-1][0] if rows else position)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Unavailable(f"the control log cannot be used: {error}") from error
