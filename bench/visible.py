"""Part `visible`: from the receipt of an event until the views show what it leads to.

`beleg run` in an open loop; the times are those of its own metric, `beleg_row_latency_seconds`. It
samples the first events of every batch, the ones that have waited longest.
"""

import re
import time
import urllib.request
from itertools import pairwise

from bench.figure import Figure
from bench.home import BROWSER_KEY, home, landed, load
from bench.load import Order

_RATE = 2_000.0
_WARM_UP_S = 5.0
_PATIENCE_S = 60.0

Buckets = list[tuple[float, float]]
"""Upper bounds in seconds, and how many were at most so late."""


def measure(seconds: float) -> list[Figure]:
    """Post so many seconds, and say how late half and all but one in a hundred were."""
    with home() as here, here.living("run") as (_, addresses):

        def post(for_s: float) -> int:
            order = Order(
                address=addresses["collector"], key=BROWSER_KEY, rate=_RATE, seconds=for_s
            )
            return load(order).events

        expected = post(_WARM_UP_S)
        before = _buckets(addresses["admin"])
        expected += post(seconds)
        give_up_at = time.monotonic() + _PATIENCE_S
        while landed(addresses["admin"]) < expected:
            if time.monotonic() > give_up_at:
                raise RuntimeError("the events do not land")
            time.sleep(0.1)
        after = _buckets(addresses["admin"])
    found = [(bound, late - early) for (bound, late), (_, early) in zip(after, before, strict=True)]
    what = f"received → visible in the views, at {_RATE:,.0f} events/s"
    return [
        Figure(f"{what}, p50", _quantile(found, 0.5), "s", 2, at_most=True),
        Figure(f"{what}, p99", _quantile(found, 0.99), "s", 5, at_most=True),
    ]


def _buckets(admin: str) -> Buckets:
    with urllib.request.urlopen(f"http://{admin}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    pattern = r'^beleg_row_latency_seconds_bucket\{le="([^"]+)"\} (\S+)$'
    return [
        (float(bound), float(count)) for bound, count in re.findall(pattern, text, re.MULTILINE)
    ]


def _quantile(buckets: Buckets, share: float) -> float:
    """Give a quantile as Prometheus does: even between the bounds of a bucket."""
    wanted = share * buckets[-1][1]
    for (low_s, below), (high_s, count) in pairwise([(0.0, 0.0), *buckets]):
        if count >= wanted:
            return low_s + (high_s - low_s) * (wanted - below) / max(count - below, 1e-9)
    raise AssertionError("the last bucket holds all")
