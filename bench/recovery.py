"""Part `recover`: a process is killed with many events stored; how soon it judges again.

`python -m bench.recovery DATA_DIR EVENTS` fills a store by SQL, for this part only.
"""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from bench.figure import Figure
from bench.home import BROWSER_KEY, Home, home, landed, load
from bench.load import Order
from bench.process import ROOT
from spine.store import Store

_AT_ONCE = 1_000_000
_FILL_S = 3_600
_FIRST_S = 300.0

# As another log left them, which was read to its end: ten events a visitor, over thirty days.
_EVENTS = """
SELECT 'shop' AS site, 'page_view' AS name, toString(number) AS event_id, 'browser' AS channel,
    MD5(event_id) AS identity, MD5(event_id) AS event_key,
    MD5(concat('v', toString(intDiv(number, 10)))) AS visitor_id,
    now64(3, 'UTC') - toIntervalSecond(number % 2592000) AS occurred_at,
    occurred_at AS received_at, toDate(occurred_at) AS received_on, 'before' AS log_id,
    0 AS log_partition, number AS log_offset
FROM numbers({first}, {count})
"""
_TABLES = {
    "events": "site, name, event_id, channel, identity, event_key, visitor_id, occurred_at,"
    " received_at, received_on, log_id, log_partition, log_offset",
    "visitor_facts": "site, visitor_id, occurred_at, identity, event_key, name",
    "seen": "identity, log_id, log_partition, log_offset",
    "fates": "log_id, log_partition, log_offset, site, received_at, identity, fate",
}


def measure(events: int) -> list[Figure]:
    """Kill a `beleg run` that has so many events, start it, post something, wait until it lands."""
    with home() as here:
        with here.living("run"):
            pass
        subprocess.run(
            [sys.executable, "-m", "bench.recovery", str(here.directory / "data"), str(events)],
            cwd=ROOT,
            check=True,
            timeout=_FILL_S,
        )
        with here.living("run") as (running, addresses):
            _land_some(addresses)
            running.kill()
        began_at = time.monotonic()
        first_s, peak_bytes = _until_judging(here, began_at)
    what = f"from SIGKILL and start to the first event landed, {events:,} events stored"
    return [
        Figure(what, first_s, "s", floor=10, at_most=True),
        Figure("  resident memory at its highest", peak_bytes / 1e9, "GB"),
    ]


def _until_judging(here: Home, began_at: float) -> tuple[float, int]:
    with here.living("run") as (running, addresses):
        _land_some(addresses)
        return time.monotonic() - began_at, running.usage().peak_bytes


def _land_some(addresses: dict[str, str]) -> None:
    admin, before = addresses["admin"], landed(addresses["admin"])
    load(Order(address=addresses["collector"], key=BROWSER_KEY, connections=1, seconds=0.1))
    give_up_at = time.monotonic() + _FIRST_S
    while landed(admin) <= before:
        if time.monotonic() > give_up_at:
            raise RuntimeError("the event does not land")
        time.sleep(0.02)


async def _fill(data_dir: Path, events: int) -> None:
    store = await Store.open("embedded", data_dir)
    for first in range(0, events, _AT_ONCE):
        told = _EVENTS.format(first=first, count=min(_AT_ONCE, events - first))
        for table, columns in _TABLES.items():
            chosen = columns.replace("fate", "'stored'") if table == "fates" else columns
            await store.command(f"INSERT INTO {table} ({columns}) SELECT {chosen} FROM ({told})")
        print(
            f"\r{min(first + _AT_ONCE, events):>12,} of {events:,} stored ", end="", file=sys.stderr
        )
    print(file=sys.stderr)
    await store.close()


if __name__ == "__main__":
    asyncio.run(_fill(Path(sys.argv[1]), int(sys.argv[2])))
