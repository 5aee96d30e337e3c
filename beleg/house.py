"""The house in one or several processes: what `run`, `collect` and `process` put together.

Order of ending (SIGTERM): not ready, accept nothing more, answer what is in flight, flush the
tallies, finish the current batch; the backlog stays on the log.
"""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog

from beleg.admin import Admin, Check
from beleg.boot import LastBoot, take_again
from beleg.erasure.eraser import eraser_of, place_of
from beleg.erasure.erasures import Erasures
from beleg.measuring import measure
from beleg.open_endpoint import open_endpoint
from beleg.open_log import (
    control_log,
    erasure_key,
    kafka_topic,
    kept_control,
    open_log,
    own_log_id,
    salts_of,
)
from beleg.renewal import renew
from beleg.retention import retain_for_ever
from beleg.seat import Seat, spill_directories, until_let_go
from collector.app import Collector
from collector.consent import Logs
from collector.reloading import Reloading
from collector.source import Sources
from collector.spilling import SpillingLog
from collector.tally import Tallies, flush_for_ever
from processors import logs
from processors.erasure.erasing import Place
from processors.loop import Processor
from processors.sites import enter_sites, sites_of
from spine.control.followed import Control
from spine.embedded.log import EmbeddedLog
from spine.erasure_key import ErasureKey
from spine.errors import Unavailable
from spine.kafka.log import KafkaLog
from spine.kafka.read import Pace
from spine.log import Appends, Log
from spine.metrics import Metrics
from spine.runtime import (
    fall_at_once,
    keep_freed_memory,
    listen,
    locked,
    serve,
    spare_cycle_collector,
    stop_asked,
    tell,
    until_stopped,
)
from spine.settings import Settings
from spine.spill import Spill
from spine.store import Store

_logger = structlog.get_logger()
_END_LEEWAY_S = 1.0
_READ_WITHIN_S = 2.0

Started = Callable[[Mapping[str, str]], Coroutine[Any, Any, None]]
"""Called once with the addresses when everything listens."""


def now_ms() -> int:
    """Give the wall clock, milliseconds since 1970."""
    return time.time_ns() // 1_000_000


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class House:
    """The parts of one process, built one by one and ended in reverse."""

    def __init__(self, settings: Settings, role: str, seat: Seat | None = None) -> None:
        self._settings = settings
        self._role = role
        self._seat = seat  # of a worker, which shares its port and leaves the rest to its parent
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._drains: list[Callable[[], Awaitable[None]]] = []
        self._checks: list[Check] = []
        self._metrics = Metrics(version("beleg"))
        self.admin = Admin(self.exposition, self._checks, settings.admin.token)
        self.addresses: dict[str, str] = {}
        # Lets commands of this machine ask the read endpoint; store.token may be known as digest.
        self._ticket = secrets.token_urlsafe(32)

    async def live(self, started: Started | None = None) -> int:
        """Build the parts of this role, live until told to stop, and say how it ended.

        Shape: 0 when everything begun was finished in time, else 1. Raises: Misconfigured,
        Unavailable (at start only)."""
        data_dir = Path(self._settings.data_dir)
        async with self._stack:
            name = self._seat.lock if self._seat else self._role
            lock = self._stack.enter_context(locked(data_dir, name))
            if self._role == "collect" and self._seat is None:
                await until_let_go(data_dir, self._settings.processors.drain_deadline_s)
            log = await open_log(self._settings, appends=self._role != "collect")
            self._stack.push_async_callback(log.close)
            appends = log if self._role == "process" else await self._spilling(log)
            key, kept = erasure_key(self._settings), kept_control(self._settings, name)
            control = self._follow(Control(control_log(self._settings), key, kept))
            if self._role != "collect":
                self._checks.append(log.ready)
                await self._build_processor(log, control)
            if self._role != "process":
                await self._build_collector(appends, control, key)
            if self._seat is None:
                await self._build_admin()
                tell(lock, {**self.addresses, "ticket": self._ticket})
            fall_at_once()
            spare_cycle_collector()
            keep_freed_memory()
            stop = stop_asked()
            _logger.info(
                "worker ready" if self._seat else "ready", role=self._role, **self.addresses
            )
            if started is not None:
                self._tasks.append(asyncio.create_task(started(dict(self.addresses))))
            await until_stopped(self._tasks, stop)
            return await self._drain()

    async def exposition(self) -> bytes:
        """Give the metrics of this process in Prometheus' text format."""
        return self._metrics.exposition()

    async def _build_admin(self) -> None:
        admin = await listen(self.admin.application(), "admin.listen", self._settings.admin.listen)
        self._stack.push_async_callback(admin.close)
        self.addresses["admin"] = admin.address

    def _start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.append(task)
        # A start that fails ends it too, before what it works with is closed.
        self._stack.push_async_callback(_ended, task)
        return task

    def _follow(self, control: Control) -> Control:
        self._stack.push_async_callback(control.close)
        _ = self._start(control.follow())
        self._metrics.control_age_seconds.set_function(lambda: control.age_s)
        self._metrics.withdrawals.set_function(lambda: control.subjects)
        return control

    async def _spilling(self, log: EmbeddedLog | KafkaLog) -> Appends:
        """Put this machine's disk in front of a log that is elsewhere."""
        if isinstance(log, EmbeddedLog):
            return log
        wanted = self._settings.log
        topic = kafka_topic(wanted)._replace(patience_ms=wanted.spill_after_ms)
        quick = KafkaLog(topic, wanted.group, Pace())
        self._stack.push_async_callback(quick.close)
        own, *left = (
            self._spilling_into(path, quick, log)
            for path in spill_directories(Path(self._settings.data_dir), self._seat or Seat())
        )
        await own.open()
        self._checks.append(own.ready)
        for one in left:
            one.resume()
        for one in (own, *left):
            _ = self._start(one.hand_over_for_ever())
        return own

    def _spilling_into(self, path: Path, quick: KafkaLog, patient: KafkaLog) -> SpillingLog:
        spill = Spill.open(path, patient.name, self._settings.log.spill_max_bytes)
        spilling = SpillingLog(quick, patient, spill, socket.gethostname(), self._metrics, now_ms)
        self._stack.push_async_callback(spilling.close)
        return spilling

    async def _build_collector(
        self, log: Appends, control: Control, key: ErasureKey | None
    ) -> None:
        settings = self._settings
        await control.begin(_READ_WITHIN_S)
        tallies = Tallies(socket.gethostname())
        sources = Sources(settings.sites)
        salts = await salts_of(settings, key, sources.by_day, now_ms)
        if salts is not None:
            _ = self._start(salts.follow())
            await salts.begin(_READ_WITHIN_S)
        logs = Logs(log, control, salts)
        collector = Collector(logs, sources, tallies, settings.collector, self._metrics, now_ms)
        deadline_s = settings.processors.drain_deadline_s / 2
        runner = collector.runner(deadline_s)
        listener = await serve(
            runner, "collector.listen", settings.collector.listen, shared=self._seat is not None
        )
        self._checks.append(collector.ready)
        self.addresses["collector"] = listener.address
        flushing = self._start(flush_for_ever(tallies, log, now_ms))
        _ = self._start(collector.places.for_ever())
        _ = self._start(Reloading(sources, settings.sites, self._metrics).for_ever())
        if not settings.sites:
            _logger.warning(
                "no sites yet", remedy="add [sites.NAME] with browser_keys to beleg.toml"
            )

        async def drain() -> None:
            await listener.close()
            flushing.cancel()
            await tallies.flush(log, now_ms())

        self._drains.insert(0, drain)

    async def _opened_store(self, log: EmbeddedLog | KafkaLog) -> tuple[Store, str]:
        """Open the store, ready to be written to, and give the id that it knows the log by."""
        wanted, data_dir = self._settings.store, Path(self._settings.data_dir)
        store = await Store.open(wanted.url, data_dir, ca_file=wanted.ca_file)
        self._stack.push_async_callback(store.close)
        if store.path is not None:
            await store.migrate(lambda what: _logger.info("migrate", step=what))
            return store, await logs.register(store, log, own_log_id(log))
        await store.check_version()
        return store, await logs.log_id_of(store, log, own_log_id(log))

    async def _build_processor(self, log: EmbeddedLog | KafkaLog, control: Control) -> None:
        settings = self._settings
        last = LastBoot(Path(settings.data_dir))
        self._stack.push_async_callback(last.end)  # after the store was closed
        store, log_id = await self._opened_store(log)
        await enter_sites(store, settings.sites)
        self.admin.open_books(log, log_id, store)
        processor = Processor(
            log, log_id, store, sites_of(settings.sites), control, self._metrics
        ).bound(settings.processors.seen_filter_bytes)
        self._checks.extend((store.ready, processor.ready))
        self._build_eraser(place_of(settings, store, log_id), log, control, processor)

        async def process() -> None:
            if store.path is not None:
                await take_again(processor, store, log, log_id, last)
            await processor.run()

        processing = self._start(process())
        beside = [
            self._start(measure(log, log_id, store, settings.log.group, self._metrics)),
            self._start(renew(store, processor.turn)),
            self._start(retain_for_ever(store, settings.sites, processor.turn, self._metrics)),
        ]
        if store.path is not None and settings.store.listen:
            endpoint = await open_endpoint(store.path, settings.store, self._ticket)
            self._stack.push_async_callback(endpoint.close)
            self.addresses["store"] = endpoint.address

        async def drain() -> None:
            await processor.finish(processing)
            for task in beside:
                task.cancel()

        self._drains.append(drain)

    def _build_eraser(
        self, place: Place | None, log: Log, control: Control, processor: Processor
    ) -> None:
        if place is None:  # no key: then nobody was ever erased
            return
        eraser = eraser_of(self._settings, place, log, control, self._metrics)
        processor.erase_with(eraser)
        self.admin.erase_with(Erasures(place, log, control, processor.turn), self._ticket)
        _ = self._start(eraser.for_ever(processor.turn))

    async def _drain(self) -> int:
        self.admin.draining = True
        _logger.info("draining")
        try:
            async with asyncio.timeout(self._settings.processors.drain_deadline_s - _END_LEEWAY_S):
                for drain in self._drains:
                    await drain()
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
                await self._stack.aclose()
        except (TimeoutError, Unavailable) as trouble:
            _logger.error("drain is incomplete", why=str(trouble) or "the deadline has passed")
            # Threads of drivers may hang; what is not in the ledger will be read again.
            os._exit(1)
        _logger.info("drained")
        return 0
