"""Part `recover`: a process is killed with many events stored; how soon it judges again."""

import subprocess
import sys
import time

from bench.figure import Figure
from bench.home import BROWSER_KEY, Home, home, landed, load
from bench.load import Order
from bench.process import ROOT

_FILL_S = 3_600
_FIRST_S = 300.0


def measure(events: int) -> list[Figure]:
    """Kill a `beleg run` that has so many events, start it, post something, wait until it lands."""
    with home() as here:
        with here.living("run"):
            pass
        subprocess.run(
            [sys.executable, "-m", "bench.stored", str(here.directory / "data"), str(events)],
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
