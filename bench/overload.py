"""Part `overload`: from half of the load to four times the maximum, over Kafka and on one machine.

Requests come in an open loop and do not wait for each other: one that finds no connection free
opens another, and none of them heeds `Retry-After`. The collector has one core; broker and load
have the others, so that what is measured is the collector and not who else wants its core; where
those have no time left, they were the bound, and the step says nothing of the collector. Of
single events it takes more than half of what this load can offer from one core, so that three times
as much is offered in batches of five. The picture is `docs/overload.svg`.
"""

import sys
from statistics import median
from typing import NamedTuple

from bench.figure import Figure
from bench.home import BROWSER_KEY, Home, home, load
from bench.load import Order, Result
from bench.picture import Line, picture
from bench.process import ROOT, Running, all_cores
from tests.kafka_broker import Broker

NO_STORE = "clickhouse://127.0.0.1:1/none"  # a collector has none
_SHARES = (0.5, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0)
_FULL = 128
_MOST = 16_000
_WARM_S = 3.0
_LEAD_S = 2.0
_FEW = 5
_BOUND = 0.9


class Step(NamedTuple):
    """What came of one offer.

    Shape: `share` is of the maximum; `others_busy` is the share of the time in which the cores of
    load and broker were busy, whoever worked on them."""

    share: float
    result: Result
    rss_bytes: int
    others_busy: float

    @property
    def accepted_per_s(self) -> float:
        return self.result.requests / self.result.seconds

    @property
    def is_of_the_load(self) -> bool:
        """Whether load and broker were the bound, not the collector."""
        return max(self.others_busy, self.result.cpu_s / self.result.seconds) > _BOUND

    @property
    def shed_per_s(self) -> float:
        return self.result.shed / self.result.seconds


class Offer(NamedTuple):
    """Where to, how many events a request, and for how long each time. Units: seconds."""

    address: str
    batch: int
    seconds: float


def most(offer: Offer) -> float:
    """Measure how many requests a second are accepted when there are always some."""
    load(_order(offer._replace(seconds=_WARM_S), None))
    found = load(_order(offer, None))
    return found.requests / found.seconds


def offered(running: Running, offer: Offer, share: float, rate: float) -> Step:
    """Offer so many requests a second, a share of the maximum, and tell it on standard error."""
    seconds, before = offer.seconds, running.others_work()
    result = load(_order(offer, share * rate))
    others_busy = running.others_work().busy_since(before)
    step = Step(share, result, running.usage().rss_bytes, others_busy)
    sent, reset = result.requests + result.shed, result.wrong.get("reset", 0)
    print(
        f"{share:6.0%} {sent / seconds:7,.0f}/s offered, {step.accepted_per_s:6,.0f}/s accepted,"
        f" p99 {result.p99_ms:6.1f} ms; {step.shed_per_s:7,.0f}/s turned away,"
        f" p99 {result.shed_p99_ms:6.1f} ms; {result.connections:,} connections, {reset:,} reset;"
        f" load: {result.cpu_s / result.seconds:.0%} of a core, {result.late_p99_ms:.1f} ms late;"
        f" cores beside the collector's: {others_busy:.0%} busy",
        file=sys.stderr,
    )
    return step


def measure(broker: Broker, seconds: float) -> list[Figure]:
    """Offer more and more, with a real Kafka and with the embedded log."""
    url = f"kafka://{broker.servers}"
    curves: list[tuple[str, list[Step]]] = []
    kafka = {"LOG__URL": url, "LOG__TOPIC": "bench-overload", "STORE__URL": NO_STORE}
    for what, role, settings, batch in (
        ("Kafka, single events", "collect", kafka, 1),
        (f"Kafka, batches of {_FEW}", "collect", kafka, _FEW),
        ("beleg run, single events", "run", {}, 1),
    ):
        with home(**settings) as here:
            curves.append((what, _curve(here, role, batch, seconds)))
    (ROOT / "docs/overload.svg").write_text(_drawn(curves), "utf-8")
    return [figure for what, steps in curves for figure in _figures(what, steps)]


def _curve(here: Home, role: str, batch: int, seconds: float) -> list[Step]:
    with all_cores(), here.living(role) as (running, addresses):
        running.keep_apart()
        offer = Offer(addresses["collector"], batch, seconds)
        rate = most(offer)
        return [offered(running, offer, share, rate) for share in (*_SHARES, 0.8)]


def _order(offer: Offer, rate: float | None) -> Order:
    seconds = offer.seconds
    return Order(
        address=offer.address,
        key=BROWSER_KEY,
        batch=offer.batch,
        connections=_FULL,
        most=_MOST,
        seconds=seconds,
        lead_s=min(_LEAD_S, seconds / 4),
        rate=rate,
        sheds=True,
    )


def _figures(what: str, steps: list[Step]) -> list[Figure]:
    *rising, after = steps
    by_share = {step.share: step for step in rising}
    calm, full = by_share[0.8], by_share[1.0]
    over = [step for step in rising if step.share > 1 and not step.is_of_the_load]
    worst = max(over or [full], key=lambda step: step.result.p99_ms)
    last = max(over or [full], key=lambda step: step.share)
    return [
        Figure(f"{what}: requests accepted when 100% are offered", full.accepted_per_s, "/s"),
        Figure(f"  up to {last.share:.0%}, where the load is not the bound: the least, times that",
               min(step.accepted_per_s for step in over or [full]) / full.accepted_per_s, ""),
        Figure("  p99 of what is accepted at 80%", calm.result.p99_ms, "ms"),
        Figure(f"  at the worst ({worst.share:.0%}), times that",
               worst.result.p99_ms / calm.result.p99_ms, "", 3, at_most=True),
        Figure("  p99 of what is turned away",
               median(step.result.shed_p99_ms for step in over or [full]), "ms"),
        Figure("  p99 at 80% afterwards, times that before",
               after.result.p99_ms / calm.result.p99_ms, "", 3, at_most=True),
    ]  # fmt: skip


def _drawn(curves: list[tuple[str, list[Step]]]) -> str:
    lines = []
    for what, steps in curves:
        rising = steps[:-1]
        lines += [
            Line(f"{what}: accepted/s", [step.accepted_per_s for step in rising]),
            Line(f"{what}: turned away/s", [step.shed_per_s for step in rising]),
            Line(f"{what}: p99 of accepted, ms", [step.result.p99_ms for step in rising]),
        ]
    return picture(
        "What comes of more and more load",
        [100 * share for share in _SHARES],
        "% of the maximum offered",
        lines,
    )
