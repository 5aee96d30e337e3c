"""Part `run`: one machine, embedded log and chDB, from HTTP to answers of the read endpoint."""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from bench.figure import Cost, Figure
from bench.home import SERVER_KEY, home, landed, loading, result_of
from bench.load import Order, Result
from bench.process import Running
from bench.processing import drained
from bench.raw_insert import measure_raw

_DAYS = 30
_DAY_MS = 86_400_000
_PATIENCE_S = 3_600.0
_CONNECTIONS = 4
_GIGABYTE = 1e9


def measure(events: int) -> list[Figure]:
    """Post events of 30 days with a server key, wait until all have landed, then ask."""
    now_ms = time.time_ns() // 1_000_000
    with home() as here, here.living("run") as (running, addresses):
        order = Order(address=addresses["collector"], key=SERVER_KEY, batch=500,
                      connections=_CONNECTIONS, events=events, by_server=True,
                      first_ms=now_ms - _DAYS * _DAY_MS, last_ms=now_ms)  # fmt: skip
        figures = _ingest(
            order, events, running, lambda: landed(addresses["admin"]), here.directory
        )
        used = running.usage()
        figures.append(
            Figure(
                f"`beleg run`, resident memory after {events:,} events",
                used.rss_bytes / _GIGABYTE,
                "GB",
                floor=1.5,
                at_most=True,
            )
        )
        host, port = addresses["store"].rsplit(":", 1)
        client = clickhouse_connect.get_client(host=host, port=int(port), database="beleg")
        figures += _questions(client, events)
        client.close()
        used = running.usage()
        figures.append(
            Figure("  at its highest, questions included", used.peak_bytes / _GIGABYTE, "GB")
        )
        here.command("ledger")
    return figures


def _ingest(
    order: Order, events: int, running: Running, landed_now: Callable[[], int], directory: Path
) -> list[Figure]:
    began_at, before_s = time.monotonic(), running.usage().cpu_s

    def posted(post: Running) -> Result | None:
        _progress(landed_now(), events, running)
        return result_of(post)

    with loading(order, directory) as post:
        result = post.until(lambda: posted(post), _PATIENCE_S, every_s=1.0)
    behind = events - landed_now()

    def look() -> int:
        now = landed_now()
        _progress(now, events, running)
        return now

    cost, rate, _ = drained(
        events, look, lambda: (running.usage().cpu_s,), lambda one: running.until(one, _PATIENCE_S)
    )
    took_s, used_s = time.monotonic() - began_at, running.usage().cpu_s - before_s
    print(file=sys.stderr)
    return [
        Figure(f"`beleg run`, HTTP → derived rows, {events:,} events in batches of 500",
               events / took_s, "/s", cost=Cost(events, used_s)),
        Figure("  accepted meanwhile", result.events / result.seconds, "/s"),
        Figure(f"  log → derived rows, embedded, the last {behind:,} events", rate, "/s",
               floor=6_000, cost=cost, baseline="columnar insert of the event rows",
               against=measure_raw("embedded", directory)),
    ]  # fmt: skip


def _progress(now: int, events: int, running: Running) -> None:
    megabytes = running.usage().rss_bytes / 1e6
    print(f"\r{now:>10,} of {events:,} landed, {megabytes:,.0f} MB ", end="", file=sys.stderr)


def _questions(client: Client, events: int) -> list[Figure]:
    day = f"'{datetime.now(UTC).date() - timedelta(days=2)}'"
    one_day = f"occurred_at >= toDate({day}) AND occurred_at < toDate({day}) + 1"
    ((event_id,),) = client.query(
        f"SELECT any(event_id) FROM v_events WHERE {one_day}"
    ).result_rows  # fmt: skip
    asked = (
        ("v_events, one day, count", 1.0, f"SELECT count() FROM v_events WHERE {one_day}"),
        ("v_events, one day, 1000 rows with session and person", 1.0,
         f"SELECT event_id, name, occurred_at, session_id, person_id FROM v_events WHERE {one_day}"
         " LIMIT 1000"),
        ("v_events, one day, sessions and persons counted", 1.0,
         f"SELECT uniqExact(session_id), uniqExact(person_id) FROM v_events WHERE {one_day}"),
        ("v_events, one event_id of that day", None,
         f"SELECT * FROM v_events WHERE {one_day} AND event_id = '{event_id}'"),
        ("v_kpi_daily, 30 days", 1.0, "SELECT * FROM v_kpi_daily WHERE date >= today() - 30"),
        ("v_kpi_daily, one day", None, f"SELECT * FROM v_kpi_daily WHERE date = {day}"),
        ("v_orders, all, count and net", None, "SELECT count(), sum(net) FROM v_orders"),
    )  # fmt: skip
    return [
        Figure(
            f"{what} ({events:,} events stored)", _seconds(client, sql), "s", floor, at_most=True
        )
        for what, floor, sql in asked
    ]


def _seconds(client: Client, sql: str) -> float:
    took_s = []
    for _ in range(3):
        began_at = time.monotonic()
        if not client.query(sql).result_rows:
            raise RuntimeError(f"no rows: {sql}")
        took_s.append(time.monotonic() - began_at)
    return median(took_s)
