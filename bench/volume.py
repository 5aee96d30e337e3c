"""Part `volume`: what an event costs, and a question takes, with so many events already stored.

`python -m bench.volume DATA_DIR EVENTS FRESH` is one size, in a process of its own.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import structlog

from bench.figure import Cost, Figure
from bench.process import ROOT
from bench.raw_insert import admitted
from bench.stored import fill, known_visitors
from processors.derive import derive, touched
from processors.judge import read
from processors.loop import Processor
from processors.site import Site
from processors.sites import enter_sites
from reports.engine import Engine, Limits, Question
from reports.statement import Failure
from spine.control.followed import followed
from spine.embedded.control import EmbeddedControl
from spine.embedded.log import EmbeddedLog
from spine.log import Batch, Entry, Range
from spine.metrics import Metrics
from spine.record import EventRecord
from spine.settings import SiteSettings, StoreSettings
from spine.store import Store

_BATCH = 30_000  # as a processor takes them that is behind
_APPENDED = 10_000
_WARM = 2
_SMALL = 100
_SLICE = 2_000_000  # of what is stored, which a batch reads into the filter
_KNOWN = 5_000
_VERY_MANY = 100_000_000
_QUIET_S, _PATIENCE_S = 2.0, 600.0
_CHILD_S = 7_200
_DAY = (
    "occurred_at >= toDateTime(today() - 3, 'UTC') AND occurred_at < toDateTime(today() - 2, 'UTC')"
)
_QUESTIONS = {
    "v_events, one day, sessions and persons counted":
        f"SELECT uniqExact(session_id), uniqExact(person_id) FROM v_events WHERE {_DAY}",
    "v_events, one day, 1000 rows with session and person":
        "SELECT event_id, name, occurred_at, session_id, person_id FROM v_events"
        f" WHERE {_DAY} LIMIT 1000",
    "v_events, one event_id of that day":
        f"SELECT * FROM v_events WHERE {_DAY} AND event_id ="
        f" (SELECT any(event_id) FROM events WHERE {_DAY})",
    "v_kpi_daily, 30 days": "SELECT * FROM v_kpi_daily WHERE date >= today() - 30",
    "v_orders, all, count and net": "SELECT count(), sum(net) FROM v_orders",
}  # fmt: skip
_FLOORS_S = {
    (10_000_000, "v_events, one day, sessions and persons counted"): 2.0,
    (10_000_000, "v_events, one day, 1000 rows with session and person"): 2.0,
    (10_000_000, "v_events, one event_id of that day"): 0.3,
    (100_000_000, "v_kpi_daily, 30 days"): 3.0,
}
_DERIVE_FLOORS_US = {10_000_000: 30.0, 50_000_000: 34.5}


def measure(sizes: Sequence[int], fresh: int) -> list[Figure]:
    """Fill a store of each size, process the same number of fresh events, then ask."""
    figures: list[Figure] = []
    least_us = float("inf")
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="beleg-volume-") as directory:
            done = subprocess.run(
                [sys.executable, "-m", "bench.volume", directory, str(size), str(fresh)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                timeout=_CHILD_S,
                check=True,
            )
        found = json.loads(done.stdout.splitlines()[-1])
        cost = Cost(found["events"], found["cpu_s"])
        us = cost.cpu_s / cost.events * 1e6
        least_us = min(least_us, us)
        figures += [
            Figure(f"{size:,} events stored: the processor and its store", us, "µs CPU/event",
                   cost=cost),
            Figure("  times the least of these sizes", us / least_us, "", 1.35, at_most=True),
            Figure("  of it deriving, done once more", found["derive_us"], "µs CPU/event",
                   _DERIVE_FLOORS_US.get(size), at_most=True),
            Figure("  until its filter is read, in batches of 100", found["filter_s"], "CPU s"),
        ]  # fmt: skip
        figures += [
            Figure(f"  {what}", took_s, "s", _FLOORS_S.get((size, what)), at_most=True)
            for what, took_s in found["questions"].items()
        ]
    return figures


class _Spent(NamedTuple):
    """What fresh events cost; deriving what they touched once more, for an event; and the CPU
    seconds until the filter of known ones was read."""

    cost: Cost = Cost(1, 0.0)
    derive_us: float = 0.0
    filter_s: float = 0.0


async def _processed(store: Store, directory: Path, stored: int, fresh: int) -> _Spent:
    log = await EmbeddedLog.open(
        directory / "log",
        batch_records=_BATCH,
        batch_wait_ms=1_000,
        max_bytes=1 << 40,
        retention_s=86_400,
    )
    small = stored // _SLICE + 1
    sizes = [_SMALL] * small + [_BATCH] * (_WARM + fresh // _BATCH)
    values = admitted(sum(sizes), time.time_ns() // 1_000_000)
    for first in range(0, len(values), _APPENDED):
        await log.append([Entry(bytes(16), value) for value in values[first : first + _APPENDED]])
    used_s = [time.process_time()]
    async with followed(EmbeddedControl(directory / "log")) as control:
        processor = Processor(log, "fresh", store, {"shop": Site()}, control, Metrics("bench"))
        for first, end in pairwise(accumulate(sizes, initial=0)):
            records = await log.read(0, first, end - first)
            await processor.take(Batch(records, [Range(0, first, end)]))
            used_s.append(time.process_time())
        await _quiet(store)
    cost = Cost(fresh, time.process_time() - used_s[small + _WARM])
    first = sum(sizes[: -fresh // _BATCH])
    derive_us = await _derived(store, log, [*range(first, first + fresh, _BATCH)])
    await log.close()
    return _Spent(cost, derive_us, used_s[small] - used_s[0])


async def _derived(store: Store, log: EmbeddedLog, firsts: Sequence[int]) -> float:
    """Derive what batches touched, as the processors did when they had landed: the rows stay."""
    used_s = 0.0
    for first in firsts:
        readings = read(await log.read(0, first, _BATCH))
        records = [one.content for one in readings if isinstance(one.content, EventRecord)]
        began_s = time.process_time()
        await derive(store, touched(records))
        used_s += time.process_time() - began_s
    return used_s / (len(firsts) * _BATCH) * 1e6


async def _quiet(store: Store) -> None:
    """Return when nothing is merged any more: what merges cost is part of the cost."""
    give_up_at = time.monotonic() + _PATIENCE_S
    quiet_at = time.monotonic()
    while time.monotonic() < min(quiet_at + _QUIET_S, give_up_at):
        if await store.select("SELECT 1 FROM system.merges LIMIT 1"):
            quiet_at = time.monotonic()
        await asyncio.sleep(0.1)


def _asked(path: Path, *, landed: bool) -> dict[str, float]:
    settings = StoreSettings()
    limits = Limits(max_execution_time_s=600, max_memory_bytes=settings.query_memory_bytes)
    engine = Engine(path, limits, database="beleg", writable=False)
    took_s = {}
    for what, sql in _QUESTIONS.items():
        if what.startswith("v_events") and not landed:
            continue
        tries = []
        for _ in range(3):
            began_at = time.monotonic()
            answer = engine.answer(Question(sql.encode(), "beleg", "TabSeparated", {}, {}))
            tries.append(time.monotonic() - began_at)
            if isinstance(answer, Failure) or not answer.body:
                raise RuntimeError(f"{what}: {answer}")
        took_s[what] = sorted(tries)[1]
    engine.close()
    return took_s


async def _main(directory: Path, events: int, fresh: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    store = await Store.open("embedded", directory)
    await store.migrate(lambda _: None)
    await enter_sites(store, {"shop": SiteSettings(timezone="Europe/Berlin")})
    # Of very many `events` stays empty: processors only add to it, and the KPI do not read it.
    without = ("events",) if events >= _VERY_MANY else ()
    await fill(store, events, known_visitors(_KNOWN), landed=fresh > 0, without=without)
    await _quiet(store)
    spent = await _processed(store, directory, events, fresh) if fresh else _Spent()
    assert store.path is not None
    questions = await asyncio.to_thread(_asked, store.path, landed=fresh > 0 and not without)
    await store.close()
    found = {"events": spent.cost.events, "cpu_s": spent.cost.cpu_s, "filter_s": spent.filter_s}
    print(json.dumps({**found, "derive_us": spent.derive_us, "questions": questions}))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
