"""An embedded log that hands over a few records at a time."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from spine.embedded.log import EmbeddedLog
from spine.log import Entry
from spine.record import ConsentRecord, EventRecord, encode


@asynccontextmanager
async def small_log(path: Path) -> AsyncIterator[EmbeddedLog]:
    opened = await EmbeddedLog.open(
        path, batch_records=5, batch_wait_ms=20, max_bytes=1 << 30, retention_s=3600
    )
    try:
        yield opened
    finally:
        await opened.close()


async def append(log: EmbeddedLog, records: Sequence[EventRecord | ConsentRecord]) -> None:
    await log.append([Entry(bytes(16), encode(one)) for one in records])
