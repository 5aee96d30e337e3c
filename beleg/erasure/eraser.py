"""What erases in a process: what `processors.erasure.erasures` is handed, in either mode."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from beleg.open_log import erasure_key, kafka_topic
from processors.erasure.erasing import Blank, Place
from processors.erasure.erasures import Eraser
from processors.erasure.receipt import LogKept
from spine.control.followed import Control
from spine.embedded.file import blank
from spine.errors import Unavailable
from spine.kafka.topic import retention_ms
from spine.log import Log
from spine.metrics import Metrics
from spine.settings import Settings
from spine.store import Store

_TRIES = 20


def place_of(settings: Settings, store: Store, log_id: str) -> Place | None:
    """Give where erasures take place; nothing where there is no key. Raises: Misconfigured."""
    key = erasure_key(settings)
    return None if key is None else Place(store, log_id, key, _blank_of(settings))


def eraser_of(
    settings: Settings, place: Place, log: Log, control: Control, metrics: Metrics
) -> Eraser:
    """Give what executes erasures."""

    async def kept_until() -> LogKept:
        now_ms = time.time_ns() // 1_000_000
        if settings.log.url == "embedded":
            return LogKept("embedded, overwritten", now_ms)
        kept_ms = await retention_ms(kafka_topic(settings.log))
        return LogKept(f"Kafka, {log.name}", None if kept_ms < 0 else now_ms + kept_ms)

    return Eraser(place, log, control, kept_until, metrics)


def _blank_of(settings: Settings) -> Blank | None:
    if settings.log.url != "embedded":
        return None
    path = (Path(settings.data_dir) / "log.sqlite").resolve()

    async def blanked(offsets: Sequence[int]) -> None:
        for _ in range(_TRIES):
            if await asyncio.to_thread(blank, path, offsets):
                return
            await asyncio.sleep(0.1)  # somebody was just reading what stands beside the file
        raise Unavailable("what SQLite keeps beside the log cannot be emptied now", 1)

    return blanked
