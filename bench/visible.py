"""Part `visible`: from the receipt of an order's purchase until `v_orders` shows it.

`beleg run` in an open loop. The view is asked again and again, and an order counts as visible when
an answer that holds it is there: the times are too long by up to one pause and one question.
"""

import time
from collections.abc import Iterator
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from bench.figure import Figure
from bench.home import BROWSER_KEY, home, load, loading, result_of
from bench.load import Order

_RATE = 2_000.0
_WARM_UP_S = 5.0
_PAUSE_S = 0.1
_PATIENCE_S = 60.0
_RECEIVED = (
    "SELECT transaction_id, toUnixTimestamp64Milli(received_at) FROM events WHERE name = 'purchase'"
)
_VISIBLE = "SELECT transaction_id FROM v_orders WHERE status = 'purchased'"


def measure(seconds: float) -> list[Figure]:
    """Post so many seconds, and say how late half and all but one in a hundred orders were."""
    with home() as here, here.living("run") as (_, addresses):
        host, port = addresses["store"].rsplit(":", 1)
        client = clickhouse_connect.get_client(host=host, port=int(port), database="beleg")

        def order(for_s: float) -> Order:
            return Order(address=addresses["collector"], key=BROWSER_KEY, rate=_RATE, seconds=for_s)

        expected = load(order(_WARM_UP_S)).events
        warmed_up = set(_asked(client, _VISIBLE))
        visible_s: dict[str, float] = {}
        received_ms: dict[str, int] = {}
        with loading(order(seconds), here.directory) as running:
            while (result := result_of(running)) is None:
                _note(visible_s, _asked(client, _VISIBLE))
                time.sleep(_PAUSE_S)
        expected += result.events
        give_up_at = time.monotonic() + _PATIENCE_S
        while (
            next(_asked(client, "SELECT count() FROM events")) < expected
            or (
                received_ms := {
                    one: int(at_ms) for one, at_ms in client.query(_RECEIVED).result_rows
                }
            ).keys()
            - visible_s.keys()
        ):
            if time.monotonic() > give_up_at:
                raise RuntimeError("not all orders become visible")
            _note(visible_s, _asked(client, _VISIBLE))
            time.sleep(_PAUSE_S)
        client.close()
    late_s = sorted(
        at_s - received_ms[one] / 1000 for one, at_s in visible_s.items() if one not in warmed_up
    )
    what = f"received → visible in v_orders, at {_RATE:,.0f} events/s, {len(late_s):,} orders"
    return [
        Figure(f"{what}, p50", late_s[len(late_s) // 2], "s", 2, at_most=True),
        Figure(f"{what}, p99", late_s[len(late_s) * 99 // 100], "s", 5, at_most=True),
    ]


def _asked(client: Client, question: str) -> Iterator[Any]:
    return (row[0] for row in client.query(question).result_rows)


def _note(visible_s: dict[str, float], orders: Iterator[str]) -> None:
    """Remember when an order was seen first."""
    now_s = time.time()
    for one in orders:
        visible_s.setdefault(one, now_s)
