"""How far the processors are behind the log, measured again and again."""

import asyncio
import contextlib
from collections.abc import Mapping

import structlog

from processors import ledger
from spine.errors import Unavailable
from spine.log import Bounds, Log
from spine.metrics import Metrics
from spine.store import Store

_EVERY_S = 5.0
_logger = structlog.get_logger()


async def measure(log: Log, log_id: str, store: Store, group: str, metrics: Metrics) -> None:
    """Show the lag of every partition, until cancelled."""
    reached: dict[int, int] = {}
    while True:
        try:
            bounds = await log.bounds()
        except Unavailable as trouble:
            _logger.warning("lag is unknown", why=trouble.what)
        else:
            # While the store is away the ledger stands still and the log goes on.
            with contextlib.suppress(Unavailable):
                ends = await ledger.positions(store, log_id, list(bounds))
                reached = {partition: end.offset for partition, end in ends.items()}
            _show(bounds, reached, group, metrics)
        await asyncio.sleep(_EVERY_S)


def _show(
    bounds: Mapping[int, Bounds], reached: Mapping[int, int], group: str, metrics: Metrics
) -> None:
    for partition, bound in bounds.items():
        label = str(partition)
        metrics.log_end_offset.labels(label).set(bound.end)
        if partition in reached:
            lag = max(0, bound.end - reached[partition])
            metrics.log_lag.labels(group, label).set(lag)
