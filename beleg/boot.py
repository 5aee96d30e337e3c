"""What a power cut may have taken from an embedded store, and how it is put back.

Facts, fates and ledger lines are on disk before a batch is done with. Derived rows are not synced:
the kernel writes them within a minute or so, and a machine that goes down at once takes the last
ones with it although their ledger line is there. So a mark in `data_dir` tells which boot of the
machine wrote last, and whether everything was synced at the end. Where neither speaks for the rows,
the last hour of the log is judged again against the store.
"""

import asyncio
import os
from pathlib import Path

import msgspec
import structlog

from processors import ledger
from processors.loop import Processor
from processors.rebuild import rise_above
from spine.durable import write_whole
from spine.errors import Unavailable
from spine.log import Log, Range
from spine.store import Store

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_AGAIN_MS = 3_600_000
_BATCH_RECORDS = 10_000

_logger = structlog.get_logger()


class Mark(msgspec.Struct, frozen=True):
    """Who wrote last: in which boot of the machine, and whether all of it was synced."""

    boot_id: str
    synced: bool


class LastBoot:
    """The mark of a `data_dir`."""

    def __init__(self, data_dir: Path, boot_id: str | None = None) -> None:
        self._path = data_dir / "boot.json"
        self._boot_id = _boot_id() if boot_id is None else boot_id
        self._ours = False

    @property
    def may_have_lost(self) -> bool:
        """Say whether rows that were written, and not synced, may be gone."""
        try:
            mark = msgspec.json.decode(self._path.read_bytes(), type=Mark)
        except (OSError, msgspec.DecodeError):
            return True
        return not mark.synced and (not self._boot_id or mark.boot_id != self._boot_id)

    def take_over(self) -> None:
        """Note that this boot's rows are not synced, before the first one is written."""
        self._write(Mark(self._boot_id, synced=False))
        self._ours = True

    async def end(self) -> None:
        """Note that everything is synced, after the last row was written."""
        if self._ours:  # else the rows of the boot before may still be missing
            await asyncio.to_thread(os.sync)
            self._write(Mark(self._boot_id, synced=True))

    def _write(self, mark: Mark) -> None:
        write_whole(self._path, msgspec.json.encode(mark))


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""  # no such system: only an orderly end speaks for the rows


async def last_hour(store: Store, log: Log, log_id: str) -> Range:
    """Give the range of positions in the ledger that were appended within an hour before the last
    record of the log. Raises: Unavailable."""
    position = (await ledger.positions(store, log_id, [0]))[0]
    start, end = (await log.bounds())[0]
    last = await log.read(0, end - 1, 1) if end > start else []
    if not last:
        return Range(0, position.offset, position.offset)
    # Not the wall clock: it may be another one since. What is older lies before what is younger.
    since_ms = last[-1].appended_ms - _AGAIN_MS
    low, high = start, end
    while low < high:
        middle = (low + high) // 2
        (found,) = await log.read(0, middle, 1)
        if found.appended_ms < since_ms:
            low = middle + 1
        else:
            high = middle
    return Range(0, min(low, position.offset), position.offset)


async def take_again(
    processor: Processor, store: Store, log: Log, log_id: str, last: LastBoot
) -> None:
    """Return when the last hour has been judged again, if it has to be, and the mark is this
    boot's. Until then the old mark stands: killed meanwhile, it begins anew."""
    while last.may_have_lost:
        try:
            span = await last_hour(store, log, log_id)
            records = span.next_offset - span.first_offset
            if records:
                _logger.info("reading again", records=records, from_offset=span.first_offset)
                await rise_above(store)
                await processor.take_range(span, _BATCH_RECORDS)
            break
        except Unavailable as trouble:
            _logger.warning("processor waits", why=trouble.what)
            await asyncio.sleep(trouble.retry_after_s)
    last.take_over()
