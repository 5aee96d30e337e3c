"""Part `erase`: how long a person waits for the receipt, with a day's part for each of many days.

`python -m bench.erase DATA_DIR EVENTS DAYS` fills a store for it, in a process of its own.
"""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from bench.figure import Figure
from bench.home import home
from bench.process import ROOT
from bench.stored import fill, known_visitors
from spine.store import Store

_DEVICE = "5c1ef1f0-9a3b-4d2e-8f6a-000000000000"
_FILL_S = 600


def measure(events: int, days: int) -> list[Figure]:
    """Erase somebody while `beleg run` has nothing else."""
    with home() as here:
        with here.living("run"):
            pass
        filling = (str(here.directory / "data"), str(events), str(days))
        subprocess.run(
            [sys.executable, "-m", "bench.erase", *filling], cwd=ROOT, check=True, timeout=_FILL_S
        )
        with here.living("run") as (running, _):
            used_s, began_at = running.usage().cpu_s, time.monotonic()
            receipt = here.command(
                "erase", "--site", "shop", "--id", f"anonymous_id={_DEVICE}", "--yes"
            )
            took_s = time.monotonic() - began_at
            used_s = running.usage().cpu_s - used_s
    gone = msgspec.json.decode(receipt)["found"]["events"]
    what = f"from `beleg erase` to the receipt, {events:,} events of {days} days, {gone} of them"
    return [
        Figure(what, took_s, "s", floor=10, at_most=True),
        Figure("  in the process that erases", used_s, "CPU s"),
    ]


async def _main(data_dir: Path, events: int, days: int) -> None:
    store = await Store.open("embedded", data_dir)
    await fill(store, events, known_visitors(1), days=days)
    await store.close()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
