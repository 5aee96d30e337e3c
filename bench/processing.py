"""Part `process`: from Kafka to derived rows behind ClickHouse's HTTP protocol."""

import time
from collections.abc import Callable

from bench.figure import Cost, Figure
from bench.home import BROWSER_KEY, Home, home, landed, load
from bench.load import Order
from bench.process import started
from bench.raw_insert import measure_raw
from tests.kafka_broker import Broker

_TOPIC = "bench-processed"
_PATIENCE_S = 900.0
_DAY_MS = 86_400_000


def measure(broker: Broker, events: int) -> list[Figure]:
    """Put events on Kafka through a collector, then let a processor land and derive them all."""
    with home(LOG__URL=f"kafka://{broker.servers}", LOG__TOPIC=_TOPIC) as here:
        server = ("reports.endpoint", str(here.directory / "server"), "--writable",
                  "--listen", "127.0.0.1:0")  # fmt: skip
        with started("clickhouse", server, here.directory) as clickhouse:
            address = clickhouse.address()
            here.settings["BELEG__STORE__URL"] = f"clickhouse://{address}/beleg"
            here.command("migrate")
            fill(here, events)
            with here.living("process") as (running, addresses):
                cost, rate, shares = drained(
                    events,
                    lambda: landed(addresses["admin"]),
                    lambda: (running.usage().cpu_s, clickhouse.usage().cpu_s),
                    lambda look: running.until(look, _PATIENCE_S),
                )
            here.command("ledger")
            raw = measure_raw(
                f"clickhouse://{address}/raw", here.directory, lambda: clickhouse.usage().cpu_s
            )
    return [
        Figure(
            f"log → derived rows, Kafka and ClickHouse's protocol, {events:,} events",
            rate,
            "/s",
            least_ratio=0.12,
            least_per_cpu_s=12_000,
            cost=cost,
            baseline="columnar insert of the event rows",
            against=raw,
        ),
        Figure("  of it the processor", shares[0] / cost.events * 1e6, "µs CPU/event"),
        Figure("  of it the store", shares[1] / cost.events * 1e6, "µs CPU/event"),
    ]


def fill(here: Home, events: int) -> None:
    """Put events of the last day on the log, as a collector writes them."""
    now_ms = time.time_ns() // 1_000_000
    with here.living("collect") as (_, addresses):
        load(Order(address=addresses["collector"], key=BROWSER_KEY, batch=500, connections=8,
                   events=events, first_ms=now_ms - _DAY_MS, last_ms=now_ms))  # fmt: skip


def drained(
    events: int,
    landed_now: Callable[[], int],
    cpu_s: Callable[[], tuple[float, ...]],
    until: Callable[[Callable[[], tuple[float, ...] | None]], tuple[float, ...]],
) -> tuple[Cost, float, tuple[float, ...]]:
    """Watch a backlog end, from the first batch that has landed on.

    Shape: cost of the events since then, events per wall second, CPU seconds per process."""
    first: list[tuple[float, int, tuple[float, ...]]] = []

    def look() -> tuple[float, ...] | None:
        now = landed_now()
        if now and not first:
            first.append((time.monotonic(), now, cpu_s()))
        if now < events:
            return None
        return (time.monotonic(), *cpu_s())

    ended_at, *used_s = until(look)
    began_at, already, before_s = first[0]
    shares = tuple(after - before for after, before in zip(used_s, before_s, strict=True))
    count = events - already
    return Cost(count, sum(shares)), count / (ended_at - began_at), shares
