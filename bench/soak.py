"""Part `soak`: most of the load for long, three times the load for a while, then as before.

Open loop over a real Kafka, in slices; the picture is `docs/soak.svg`. Latencies count from when a
request was sent: at three times the load the sender's own queue grows as long as it may.
"""

import asyncio
import sys
import time
from statistics import median
from typing import NamedTuple

from bench.figure import Figure
from bench.home import BROWSER_KEY, home, load
from bench.load import Order, Result
from bench.picture import Line, picture
from bench.process import ROOT, Running
from spine.kafka_peek import KafkaPeek
from spine.kafka_topic import KafkaTopic
from tests.kafka_broker import Broker

_TOPIC = "bench-soak"
_PARTITIONS = 12
_SLICE_S = 10.0
_CONNECTIONS = 512
_NO_STORE = "clickhouse://127.0.0.1:1/none"  # a collector has none


class Phases(NamedTuple):
    """How long each part takes. Units: seconds."""

    before_s: float
    overload_s: float
    after_s: float


class _Slice(NamedTuple):
    at_s: float
    phase: str
    result: Result
    shed: int
    rss_bytes: int


def measure(broker: Broker, phases: Phases) -> list[Figure]:
    """Run the phases one after the other against one collector."""
    url = f"kafka://{broker.servers}"
    with (
        home(LOG__URL=url, LOG__TOPIC=_TOPIC, STORE__URL=_NO_STORE) as here,
        here.living("collect") as (running, addresses),
    ):
        most = load(_order(addresses["collector"], _SLICE_S, None))
        rate = most.requests / most.seconds
        slices = _slices(running, addresses["collector"], rate, phases)
        accepted = most.events + sum(one.result.events for one in slices)
        appended = asyncio.run(_appended(broker))
    (ROOT / "docs/soak.svg").write_text(_drawn(slices, rate), "utf-8")
    return _figures(slices, rate, accepted, appended)


def _order(address: str, seconds: float, rate: float | None) -> Order:
    return Order(
        address=address,
        key=BROWSER_KEY,
        connections=_CONNECTIONS,
        seconds=seconds,
        rate=rate,
        sheds=True,
    )


def _slices(running: Running, address: str, rate: float, phases: Phases) -> list[_Slice]:
    began_at = time.monotonic()
    found = []
    for phase, share, seconds in (
        ("before", 0.8, phases.before_s),
        ("overload", 3.0, phases.overload_s),
        ("after", 0.8, phases.after_s),
    ):
        for _ in range(round(seconds / _SLICE_S)):
            result = load(_order(address, _SLICE_S, share * rate))
            at_s = time.monotonic() - began_at
            shed = result.wrong.get("503", 0)
            found.append(_Slice(at_s, phase, result, shed, running.usage().rss_bytes))
            print(
                f"\r{phase:>8} {at_s:5.0f} s  {result.events / result.seconds:6,.0f}/s accepted,"
                f" {shed / result.seconds:6,.0f}/s turned away, p99 {result.sent_p99_ms:7.1f} ms ",
                end="",
                file=sys.stderr,
            )
    print(file=sys.stderr)
    return found


async def _appended(broker: Broker) -> int:
    """Count what the topic holds: events, and the little that a collector says about itself."""
    peek = KafkaPeek(KafkaTopic(broker.servers, _TOPIC, _PARTITIONS))
    try:
        return sum(bound.end - bound.start for bound in (await peek.bounds()).values())
    finally:
        await peek.close()


def _figures(slices: list[_Slice], rate: float, accepted: int, appended: int) -> list[Figure]:
    by_phase = {
        phase: [one for one in slices if one.phase == phase]
        for phase in ("before", "overload", "after")
    }
    p99_ms = {
        phase: median(one.result.sent_p99_ms for one in found) for phase, found in by_phase.items()
    }
    before_bytes = [one.rss_bytes for one in by_phase["before"]]
    grown = median(before_bytes[-3:]) - median(before_bytes[:3])
    goodput = median(one.result.events / one.result.seconds for one in by_phase["overload"])
    return [
        Figure(f"accepted and not on the log, of {accepted:,}", max(0, accepted - appended), "", 0,
               at_most=True),
        Figure(f"p99 at 80% load ({0.8 * rate:,.0f}/s)", p99_ms["before"], "ms"),
        Figure("  of what is accepted at 300%, times that", p99_ms["overload"] / p99_ms["before"],
               "", 3, at_most=True),
        Figure("  after it, times that", p99_ms["after"] / p99_ms["before"], "", 3, at_most=True),
        Figure("accepted at 300%, share of the maximum", goodput / rate, ""),
        Figure("resident memory, growth at 80% load", grown / 1e6, "MB", 5, at_most=True),
        Figure("resident memory at its highest", max(one.rss_bytes for one in slices) / 1e6, "MB",
               200, at_most=True),
    ]  # fmt: skip


def _drawn(slices: list[_Slice], rate: float) -> str:
    at_s = [one.at_s for one in slices]
    return picture(
        f"80 %, 300 % and again 80 % of {rate:,.0f} single events a second",
        at_s,
        [
            Line("accepted/s", [one.result.events / one.result.seconds for one in slices]),
            Line("turned away/s", [one.shed / one.result.seconds for one in slices]),
            Line("p99 of accepted, ms", [one.result.sent_p99_ms for one in slices]),
            Line("resident memory, MB", [one.rss_bytes / 1e6 for one in slices]),
        ],
    )
