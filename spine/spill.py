"""The spill: values on this machine's disk while the log cannot take them.

Invariants:

1. `append` returns after its values are synced. One that raised may have kept some all the same.
2. Values leave a segment at a time, the oldest first: `oldest` reads it, `drop` deletes its file.
   Killed in between, the segment is read again, and copies are settled by identity.
3. Values are numbered, and a segment's name is the number of its first one. So it is known whether
   bytes that do not read as frames held an acknowledged value.
4. Such damaged bytes go on to the log, marked, and become a reject there.

Synchronous, for one caller at a time; `collector.spilling` calls it from a thread.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from spine.digest import record_digest
from spine.durable import sync_directory, write_whole
from spine.errors import Misconfigured, Unavailable
from spine.failpoint import reach
from spine.log import Entry
from spine.record import DAMAGED
from spine.spill_frame import Cut, Frame, frames_of, parts_of

_SEGMENT_BYTES = 1 << 20
_DAMAGED_BYTES = 1 << 20  # in one value at most
_LEAST_FREE_BYTES = 256 * 1024  # the largest record
_ABOUT = "about.json"
_SUFFIX = ".spill"

_logger = structlog.get_logger()


class Waiting(NamedTuple):
    """What a spill holds: so many records, the oldest with this number; 0 and the next number
    when nothing waits."""

    spill_id: str
    number: int
    records: int
    size_bytes: int


class _About(msgspec.Struct, frozen=True):
    """Whose values these are."""

    spill_id: str
    log: str


class _Segment(NamedTuple):
    """A file of frames; `first` is the number of its first one."""

    path: Path
    first: int
    records: int
    size_bytes: int


class Spill:
    """Values that wait on disk, made with `Spill.open`."""

    def __init__(self, directory: Path, about: _About | None, max_bytes: int) -> None:
        self._directory = directory
        self._about = about
        self._max_bytes = max_bytes
        self._segments: list[_Segment] = []
        self._next = 0
        self._file: int | None = None  # of the last segment, while it is written
        self._records = 0
        self._size_bytes = 0

    @classmethod
    def open(cls, directory: Path, log: str, max_bytes: int) -> "Spill":
        """Open what waits in a directory for the log of that name. Raises: Misconfigured."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            about = _read_about(directory / _ABOUT)
            spill = cls(directory, about, max_bytes)
            for path in sorted(directory.glob(f"*{_SUFFIX}")):
                spill._take(path)
            spill._empty_last()
        except OSError as error:
            raise Misconfigured(
                "data_dir", f"the spill {directory} cannot be read: {error.strerror}"
            ) from error
        if about is not None and about.log != log:
            if spill._records:
                raise Misconfigured(
                    "log.topic",
                    f"{spill._records} records in {directory} wait for {about.log}, not for {log}:"
                    " let a collector with the old settings hand them over first",
                )
            spill._about = None
        return spill

    def _take(self, path: Path) -> None:
        first = int(path.name.removesuffix(_SUFFIX))
        parts = list(parts_of(path.read_bytes()))
        numbers = [part.number for part in parts if isinstance(part, Frame)]
        self._segments.append(_Segment(path, first, len(numbers), path.stat().st_size))
        self._next = max(self._next, first, *(number + 1 for number in numbers[-1:]))
        self._records += len(numbers)
        self._size_bytes += self._segments[-1].size_bytes

    def _empty_last(self) -> None:
        """Empty a last segment without a frame: its first write was torn, nobody was answered.

        The file stays: its name is the number to go on with."""
        if self._segments and self._segments[-1].records == 0:
            torn = self._segments.pop()
            if torn.size_bytes:
                _tell_cut(torn, Cut(0, torn.path.read_bytes()), 0)
                os.truncate(torn.path, 0)
            self._size_bytes -= torn.size_bytes

    @property
    def spill_id(self) -> str | None:
        """The random name of this spill, None until `meet` was called."""
        return self._about.spill_id if self._about else None

    def waiting(self) -> Waiting:
        """Say what waits here; only after `meet`."""
        number = self._segments[0].first if self._segments else self._next
        return Waiting(self.spill_id or "", number, self._records, self._size_bytes)

    def meet(self, log: str) -> None:
        """Remember that the log these values are for was there once. Raises: Misconfigured.

        Before, nothing may be acknowledged from here: the address may be wrong."""
        if self._about is None:
            about = _About(os.urandom(8).hex(), log)
            path = self._directory / _ABOUT
            try:
                write_whole(path, msgspec.json.encode(about))
            except OSError as error:
                raise Misconfigured(
                    "data_dir", f"{path} cannot be written: {error.strerror}"
                ) from error
            self._about = about

    def append(self, entries: Sequence[Entry]) -> None:
        """Return once every value is on disk, synced. Raises: Unavailable."""
        content = b"".join(frames_of(self._next, entries))
        self.room(len(content))
        try:
            if self._file is None:
                self._begin()
            self._write(content)
        except OSError as error:
            self._abandon()
            raise Unavailable(f"the spill cannot be written: {error.strerror}", 5) from error
        last = self._segments[-1]
        self._segments[-1] = last._replace(
            records=last.records + len(entries), size_bytes=last.size_bytes + len(content)
        )
        self._next += len(entries)
        self._records += len(entries)
        self._size_bytes += len(content)
        if self._segments[-1].size_bytes >= _SEGMENT_BYTES:
            self.close()

    def room(self, size_bytes: int = _LEAST_FREE_BYTES) -> None:
        """Return if that much would be taken now. Raises: Unavailable."""
        if self._size_bytes + size_bytes > self._max_bytes:
            raise Unavailable(f"the spill has reached log.spill_max_bytes ({self._max_bytes})", 10)
        disk = os.statvfs(self._directory)
        if disk.f_bavail * disk.f_frsize < size_bytes:
            raise Unavailable("the disk of the spill is full", 10)

    def _begin(self) -> None:
        path = self._directory / f"{self._next:020}{_SUFFIX}"
        # A file of that name has nothing that was acknowledged: its first write failed.
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        if not self._segments or self._segments[-1].path != path:
            self._segments.append(_Segment(path, self._next, 0, 0))
        sync_directory(self._directory)

    def _write(self, content: bytes) -> None:
        assert self._file is not None  # noqa: S101 - begun just before
        reach("before the spill's write")
        half = len(content) // 2
        _write_all(self._file, content[:half])
        reach("inside the spill's write")
        _write_all(self._file, content[half:])
        os.fdatasync(self._file)
        reach("after the spill's write")

    def _abandon(self) -> None:
        """Leave a segment as it was before the write that failed, as far as the disk allows it.

        After a sync that failed nobody knows what is on disk: nothing is written behind it."""
        if self._file is None:
            return
        last = self._segments[-1]
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, last.size_bytes)
        self.close()
        if last.records == 0:
            with contextlib.suppress(OSError):
                last.path.unlink()
            self._segments.pop()

    def oldest(self) -> Sequence[Entry]:
        """Give the values of the oldest segment, empty when none waits. Raises: Unavailable.

        What is damaged is among them, marked, where an acknowledged value was lost in it."""
        while self._segments:
            if len(self._segments) == 1:
                self.close()
            if entries := self._read_oldest():
                return entries
            self.drop()  # nothing but what nobody was answered for
        return []

    def _read_oldest(self) -> Sequence[Entry]:
        segment = self._segments[0]
        try:
            content = segment.path.read_bytes()
        except OSError as error:
            raise Unavailable(f"the spill cannot be read: {error.strerror}", 10) from error
        following = self._segments[1].first if len(self._segments) > 1 else self._next
        return list(_entries(segment, content, following))

    def drop(self) -> None:
        """Forget the oldest segment: its values are on the log. Raises: Unavailable."""
        segment = self._segments[0]
        try:
            if len(self._segments) == 1:  # a file must tell the number to go on with
                (self._directory / f"{self._next:020}{_SUFFIX}").touch()
            segment.path.unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"the spill cannot be emptied: {error.strerror}", 10) from error
        del self._segments[0]
        self._records -= segment.records
        self._size_bytes -= segment.size_bytes

    def close(self) -> None:
        """Write no more into the last segment; the next append begins a new one."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _read_about(path: Path) -> _About | None:
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=_About)
    except msgspec.DecodeError as error:
        raise Misconfigured("data_dir", f"{path} is damaged: {error}") from error


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _entries(segment: _Segment, content: bytes, following: int) -> Iterator[Entry]:
    """Give a segment's values; `following` is the number that comes after the last one."""
    expected = segment.first
    cut: Cut | None = None
    for part in parts_of(content):
        if isinstance(part, Cut):
            cut = part
            continue
        yield from _damaged(segment, cut, part.number - expected)
        yield part.entry
        expected, cut = part.number + 1, None
    yield from _damaged(segment, cut, following - expected)


def _damaged(segment: _Segment, cut: Cut | None, missing: int) -> Iterator[Entry]:
    if cut is None and missing <= 0:
        return
    _tell_cut(segment, cut := cut or Cut(0, b""), max(missing, 0))
    if missing <= 0:  # a write that was not answered, torn when the process died
        return
    for start in range(0, max(len(cut.content), 1), _DAMAGED_BYTES):
        value = DAMAGED + cut.content[start : start + _DAMAGED_BYTES]
        yield Entry(record_digest(value), value)


def _tell_cut(segment: _Segment, cut: Cut, acknowledged: int) -> None:
    where = f"{segment.path.name}, byte {cut.start}"
    _logger.error("spill_cut", where=where, cut_bytes=len(cut.content), acknowledged=acknowledged)
