"""`SaltFile`: the log of salts on one machine, a file of its own that is written anew each time.

It belongs to one process. What is over is not written again, so nothing of it is in any file.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from spine.control.log import Page
from spine.durable import write_whole
from spine.errors import Unavailable
from spine.salts.salt import decode_salt


class SaltFile:
    """A `spine.control.log.ControlLog` that forgets what is over when it is opened."""

    def __init__(self, path: Path, now_ms: Callable[[], int]) -> None:
        self._path = path
        self._now_ms = now_ms
        self._values: list[bytes] = []

    async def open(self) -> None:
        """Return once nothing that is over is in the file. Raises: Unavailable."""
        await asyncio.to_thread(self._open)

    async def append(self, key: bytes, value: bytes) -> None:
        """Return once the value is on disk. Raises: Unavailable."""
        self._values.append(value)
        await asyncio.to_thread(self._write)

    async def end(self) -> int:
        """Give the number of values."""
        return len(self._values)

    async def read(self, position: int, wait_s: float) -> Page:
        """Give all values behind a position; there is nobody to wait for."""
        return Page(self._values[position:], len(self._values))

    async def close(self) -> None:
        """Let go of what was read."""
        self._values = []

    def _open(self) -> None:
        # One that died while it was writing has left what it wrote.
        self._path.with_suffix(".new").unlink(missing_ok=True)
        try:
            found = self._path.read_bytes().splitlines() if self._path.exists() else []
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be read: {error}") from error
        self._values = [value for value in found if self._stays(value)]
        if self._values != found:
            self._write()

    def _stays(self, value: bytes) -> bool:
        salt = decode_salt(value)
        return salt is not None and not salt.is_over(self._now_ms())

    def _write(self) -> None:
        try:
            write_whole(self._path, b"".join(value + b"\n" for value in self._values))
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be written: {error}") from error
