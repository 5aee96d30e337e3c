"""Derive again what an older program derived, or one that was killed, while everything runs."""

import asyncio

import structlog

from processors.identity.splits import finish
from processors.rebuild import is_due, rebuild
from spine.errors import Unavailable
from spine.store import Store

_logger = structlog.get_logger()


async def renew(store: Store, turn: asyncio.Lock) -> None:
    """Finish what splits began, and rebuild between batches if it is due; stopped, it begins
    anew."""
    while True:
        try:
            async with turn:
                await finish(store)
            if not await is_due(store):
                return
            if store.path is None:
                _logger.warning("derived rows are older", remedy="run `beleg rebuild`")
                return
            await _renew_all(store, turn)
        except Unavailable as trouble:
            _logger.warning("rebuild waits", why=trouble.what)
            await asyncio.sleep(trouble.retry_after_s)


async def _renew_all(store: Store, turn: asyncio.Lock) -> None:
    steps = rebuild(store)
    while True:
        async with turn:
            step = await anext(steps, None)
        if step is None:
            return
        _logger.info("rebuild", table=step.table, done=step.done, total=step.total)
