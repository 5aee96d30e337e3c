"""Part `collect`: the collector over a real Kafka with acks=all, beside two baselines."""

import time
from statistics import median
from typing import NamedTuple

from bench.figure import Cost, Figure
from bench.home import BROWSER_KEY, Home, home, load, metric
from bench.load import Order, Result
from bench.process import Running, started
from tests.kafka_broker import Broker

_TOPIC = "bench-collected"
_BARE_TOPIC = "bench-bare"
_NO_STORE = "clickhouse://127.0.0.1:1/none"  # a collector has none


class Size(NamedTuple):
    """How long to measure. Units: `rounds` of `seconds` each, baseline and collector in turn."""

    rounds: int
    seconds: float


class _Server(NamedTuple):
    running: Running
    address: str
    status: int


class _Measured(NamedTuple):
    result: Result
    cost: Cost


def measure(broker: Broker, size: Size) -> list[Figure]:
    """Measure single events, batches of 50, latency in open loops, memory."""
    url, known_s = f"kafka://{broker.servers}", "3600"  # so long the spill takes all
    with (
        home(
            LOG__URL=url,
            LOG__TOPIC=_TOPIC,
            STORE__URL=_NO_STORE,
            COLLECTOR__WITHDRAWALS_MAX_AGE_S=known_s,
        ) as here,
        here.living("collect") as (running, addresses),
    ):
        ours = _Server(running, addresses["collector"], 202)
        single, fastest = _single(here, ours, size)
        batches = _batches(here, ours, broker, size)
        latencies = [_latency(ours, fastest * share, share, size) for share in (0.5, 0.8)]
        peak_bytes = running.usage().peak_bytes
        spilled = _while_kafka_is_away(ours, addresses["admin"], broker, size)
    what = "collector, resident memory at its highest"
    memory = Figure(what, peak_bytes / 1e6, "MB", floor=200, at_most=True)
    return [single, batches, *latencies, memory, *spilled]


def _single(here: Home, ours: _Server, size: Size) -> tuple[Figure, float]:
    with started("bare_http", ("bench.bare_http",), here.directory) as bare:
        baseline = _Server(bare, bare.address(), 204)
        theirs, own = _in_turn(baseline, ours, 1, size)
    rate = median(found.result.requests / found.result.seconds for found in own)
    figure = Figure(
        "single-event requests, 64 connections",
        rate,
        "/s",
        cost=_sum(own),
        baseline="aiohttp, reads the body, 204",
        against=_sum(theirs),
        least_ratio=0.55,
    )
    return figure, rate


def _while_kafka_is_away(ours: _Server, admin: str, broker: Broker, size: Size) -> list[Figure]:
    """Measure what is accepted onto the collector's disk, and how fast it is handed over."""
    broker.kill()
    try:
        load(Order(address=ours.address, key=BROWSER_KEY, batch=1, seconds=1.5, status=202))
        found = [_measured(ours, 1, size.seconds) for _ in range(size.rounds)]
        waiting = metric(admin, "beleg_spill_records")
        peak_bytes = ours.running.usage().peak_bytes
    finally:
        broker.start()
    ours.running.until(lambda: metric(admin, "beleg_spill_records") < waiting or None, 60)
    began_at, waiting = time.monotonic(), metric(admin, "beleg_spill_records")
    ours.running.until(lambda: metric(admin, "beleg_spill_records") == 0 or None, 600, 0.02)
    return [
        Figure(
            "single events while Kafka is away, onto disk",
            median(one.result.requests / one.result.seconds for one in found),
            "/s",
            floor=3_000,
            cost=_sum(found),
        ),
        Figure("  resident memory at its highest then", peak_bytes / 1e6, "MB", 200, at_most=True),
        Figure("  handed over when it is back", waiting / (time.monotonic() - began_at), "/s"),
    ]


def _batches(here: Home, ours: _Server, broker: Broker, size: Size) -> Figure:
    # The topic is made by a second collector, so that both topics are alike.
    url = f"kafka://{broker.servers}"
    with (
        home(LOG__URL=url, LOG__TOPIC=_BARE_TOPIC, STORE__URL=_NO_STORE) as other,
        other.living("collect"),
    ):
        pass
    module = ("bench.bare_kafka", broker.servers, _BARE_TOPIC)
    with started("bare_kafka", module, here.directory) as bare:
        baseline = _Server(bare, bare.address(), 202)
        theirs, own = _in_turn(baseline, ours, 50, size)
    return Figure(
        "events in batches of 50, 64 connections",
        median(found.result.events / found.result.seconds for found in own),
        "/s",
        cost=_sum(own),
        baseline="aiohttp, decode, send_batch",
        against=_sum(theirs),
        least_ratio=0.5,
        least_per_cpu_s=55_000,
    )


def _in_turn(
    baseline: _Server, ours: _Server, batch: int, size: Size
) -> tuple[list[_Measured], list[_Measured]]:
    for server in (baseline, ours):
        load(Order(address=server.address, key=BROWSER_KEY, batch=batch, seconds=1.5,
                   status=server.status))  # fmt: skip
    pairs = [
        (_measured(baseline, batch, size.seconds), _measured(ours, batch, size.seconds))
        for _ in range(size.rounds)
    ]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _measured(server: _Server, batch: int, seconds: float) -> _Measured:
    before = server.running.usage().cpu_s
    result = load(
        Order(
            address=server.address,
            key=BROWSER_KEY,
            batch=batch,
            seconds=seconds,
            status=server.status,
        )
    )
    return _Measured(result, Cost(result.events, server.running.usage().cpu_s - before))


def _sum(found: list[_Measured]) -> Cost:
    return Cost(sum(one.cost.events for one in found), sum(one.cost.cpu_s for one in found))


def _latency(ours: _Server, rate: float, share: float, size: Size) -> Figure:
    order = Order(address=ours.address, key=BROWSER_KEY, rate=rate, seconds=size.seconds * 2)
    results = [load(order) for _ in range(size.rounds)]
    p99_ms = median(result.p99_ms for result in results)
    p50_ms = median(result.p50_ms for result in results)
    return Figure(
        f"p99 of one event at {share:.0%} load ({rate:,.0f}/s, p50 {p50_ms:.1f} ms)",
        p99_ms,
        "ms",
        floor=40 if share == 0.5 else None,
        at_most=True,
    )
