"""Part `soak`: most of the load for long, three times the load for a while, then as before.

Open loop over a real Kafka, in slices, batches of five, offered as in part `overload`; the picture
is `docs/soak.svg`.
"""

import asyncio
from statistics import median
from typing import NamedTuple

from bench.figure import Figure
from bench.home import home
from bench.overload import NO_STORE, Offer, Step, most, offered
from bench.picture import Line, picture
from bench.process import ROOT, Running, all_cores
from spine.kafka.peek import KafkaPeek
from spine.kafka.topic import KafkaTopic
from tests.kafka_broker import Broker

_TOPIC = "bench-soak"
_PARTITIONS = 12
_SLICE_S = 10.0
_BATCH = 5


class Phases(NamedTuple):
    """How long each part takes. Units: seconds."""

    before_s: float
    overload_s: float
    after_s: float


class _Slice(NamedTuple):
    phase: str
    step: Step


def measure(broker: Broker, phases: Phases) -> list[Figure]:
    """Run the phases one after the other against one collector."""
    url = f"kafka://{broker.servers}"
    with (
        all_cores(),
        home(LOG__URL=url, LOG__TOPIC=_TOPIC, STORE__URL=NO_STORE) as here,
        here.living("collect") as (running, addresses),
    ):
        running.keep_apart()
        offer = Offer(addresses["collector"], _BATCH, _SLICE_S)
        rate = most(offer)
        before = asyncio.run(_appended(broker))
        slices = _slices(running, offer, rate, phases)
        accepted = sum(one.step.result.events for one in slices)
        appended = asyncio.run(_appended(broker)) - before
    (ROOT / "docs/soak.svg").write_text(_drawn(slices, rate), "utf-8")
    return _figures(slices, rate, accepted, appended)


def _slices(running: Running, offer: Offer, rate: float, phases: Phases) -> list[_Slice]:
    return [
        _Slice(phase, offered(running, offer, share, rate))
        for phase, share, seconds in (
            ("before", 0.8, phases.before_s),
            ("overload", 3.0, phases.overload_s),
            ("after", 0.8, phases.after_s),
        )
        for _ in range(round(seconds / _SLICE_S))
    ]


async def _appended(broker: Broker) -> int:
    """Count what the topic holds: events, and the little that a collector says about itself."""
    peek = KafkaPeek(KafkaTopic(broker.servers, _TOPIC, _PARTITIONS))
    try:
        return sum(bound.end - bound.start for bound in (await peek.bounds()).values())
    finally:
        await peek.close()


def _figures(slices: list[_Slice], rate: float, accepted: int, appended: int) -> list[Figure]:
    by_phase = {
        phase: [one.step for one in slices if one.phase == phase]
        for phase in ("before", "overload", "after")
    }
    p99_ms = {
        phase: median(step.result.p99_ms for step in steps) for phase, steps in by_phase.items()
    }
    over = by_phase["overload"]
    before_bytes = [step.rss_bytes for step in by_phase["before"]]
    grown = median(before_bytes[-3:]) - median(before_bytes[:3])
    return [
        Figure(f"accepted and not on the log, of {accepted:,}", max(0, accepted - appended), "", 0,
               at_most=True),
        Figure(f"p99 at 80% load ({0.8 * rate:,.0f} batches/s)", p99_ms["before"], "ms"),
        Figure("  of what is accepted at 300%, times that", p99_ms["overload"] / p99_ms["before"],
               "", 3, at_most=True),
        Figure(f"  in the worst slice of {_SLICE_S:.0f} s, times that",
               max(step.result.p99_ms for step in over) / p99_ms["before"], "", 3, at_most=True),
        Figure("  after it, times that", p99_ms["after"] / p99_ms["before"], "", 3, at_most=True),
        Figure("offered at 300%, times the maximum",
               median(step.accepted_per_s + step.shed_per_s for step in over) / rate, "", 2.9),
        Figure("  accepted, share of the maximum",
               median(step.accepted_per_s for step in over) / rate, "", 0.5),
        Figure("  in the worst slice",
               min(step.accepted_per_s for step in over) / rate, ""),
        Figure("  p99 of what is turned away",
               median(step.result.shed_p99_ms for step in over), "ms"),
        Figure("  the load's share of a core",
               median(step.result.cpu_s / step.result.seconds for step in over), ""),
        Figure("  slices in which load and broker were the bound",
               sum(step.is_of_the_load for step in over), "", 0, at_most=True),
        Figure("resident memory, growth at 80% load", grown / 1e6, "MB", 5, at_most=True),
        Figure("resident memory at its highest", max(one.step.rss_bytes for one in slices) / 1e6,
               "MB", 200, at_most=True),
    ]  # fmt: skip


def _drawn(slices: list[_Slice], rate: float) -> str:
    steps = [one.step for one in slices]
    return picture(
        f"80 %, 300 % and again 80 % of {rate:,.0f} batches of {_BATCH} a second",
        [_SLICE_S * (number + 1) for number in range(len(steps))],
        "seconds",
        [
            Line("accepted/s", [step.accepted_per_s for step in steps]),
            Line("turned away/s", [step.shed_per_s for step in steps]),
            Line("p99 of accepted, ms", [step.result.p99_ms for step in steps]),
            Line("p99 of turned away, ms", [step.result.shed_p99_ms for step in steps]),
            Line("resident memory, MB", [step.rss_bytes / 1e6 for step in steps]),
        ],
    )
