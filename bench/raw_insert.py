"""Baseline (c): the same event rows, inserted as columns and nothing else."""

import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from bench.figure import Cost
from bench.process import ROOT
from bench.traffic import Span, visits
from collector.admit import admit
from collector.decode import Claims, decode
from collector.observe import Receipt
from collector.source import Sources
from processors.judge import read
from processors.rows import event_columns, landings
from processors.site import Site
from spine.log import Record
from spine.settings import SiteSettings
from spine.store import Store

_BATCHES, _ROWS = 10, 10_000
_DAY_MS = 86_400_000
_KEY = "bk_bench_0123456789"


def measure_raw(url: str, directory: Path, server_cpu_s: Callable[[], float] = lambda: 0.0) -> Cost:
    """Insert in a process of its own; the CPU of inserting is its and the server's."""
    before = server_cpu_s()
    done = subprocess.run(
        [sys.executable, "-m", "bench.raw_insert", url, str(directory / "raw")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the raw insert ended:\n{done.stderr[-3000:]}")
    own_s = json.loads(done.stdout.splitlines()[-1])["cpu_s"]
    return Cost(_BATCHES * _ROWS, own_s + server_cpu_s() - before)


def admitted(count: int, now_ms: int, agents: Sequence[str] = ("Mozilla/5.0",)) -> list[bytes]:
    """Give records of the last day as the collector writes them to the log, of these browsers."""
    source = Sources({"shop": SiteSettings(browser_keys=(_KEY,))}).find(_KEY)
    assert source is not None
    receipts = itertools.cycle([Receipt(now_ms, "203.0.113.0", agent) for agent in agents])
    values = []
    for event in visits(count, Span(now_ms - _DAY_MS, now_ms)):
        claims = decode(orjson.dumps(event), 1)
        assert isinstance(claims, Claims)
        (one,) = admit(claims, next(receipts), source).admitted
        values.append(one.value)
    return values


def _batches() -> list[Mapping[str, Sequence[Any]]]:
    """Make the columns of the events table exactly as the processors make them."""
    now_ms = time.time_ns() // 1_000_000
    records = [
        Record(0, offset, value, now_ms)
        for offset, value in enumerate(admitted(_BATCHES * _ROWS, now_ms))
    ]
    return [
        event_columns("raw", landings(read(records[first : first + _ROWS]), {"shop": Site()}))
        for first in range(0, len(records), _ROWS)
    ]


async def _main(url: str, directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    store = await Store.open(url, directory, makes=True)
    await store.migrate(lambda _: None)
    batches = _batches()
    cpu_s = time.process_time()
    for columns in batches:
        await store.insert("events", columns)
    cpu_s = time.process_time() - cpu_s
    await store.close()
    print(json.dumps({"cpu_s": cpu_s}))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], Path(sys.argv[2])))
