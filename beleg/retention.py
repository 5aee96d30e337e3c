"""How long what is stored stays: `beleg retention`, and the task that sees to it."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import date

import msgspec
import structlog

from beleg.commands import Say, opened_books, table
from beleg.owned import owned_store
from consent_rules.regime import Keeping
from consent_rules.regions import load_all
from processors.retention.over import State, believed_today, over_on, states
from processors.retention.retain import Gone, retain
from spine.errors import Misconfigured, Unavailable
from spine.metrics import Metrics
from spine.settings import Settings, SiteSettings
from spine.store import Store

_logger = structlog.get_logger()
_EVERY_S = 3600.0
_DAY_S = 86_400
_TOO_NEW = "nothing is over yet: it takes three days on which something was received"

Keepings = Mapping[str, Mapping[str, Keeping]]
"""How long what is of each site and class stays."""


def keepings_of(sites: Mapping[str, SiteSettings]) -> Keepings:
    """Read from the rules how long what is of each class stays. Raises: Misconfigured."""
    return {
        name: load_all(name, site.consent, site.regions).keepings for name, site in sites.items()
    }


async def retention(settings: Settings, say: Say, *, runs: bool, as_json: bool) -> None:
    """Print how long what is stored stays, after deleting what is over if it `runs`.

    Raises: Misconfigured, when it runs also while `beleg run` runs; Unavailable."""
    keepings = keepings_of(settings.sites)
    opened = owned_store(settings) if runs else opened_books(settings)
    async with opened as store:
        await store.check_version()
        today = await believed_today(store, _clock_day())
        if runs and today is not None:
            everything = await over_on(store, keepings, today)
            for site, name, rows in _added([one async for one in retain(store, everything)]):
                say(f"{site}: {rows:,} rows of {name} went")
        found = await states(store, keepings, today)
    if as_json:
        report = {
            "today": _day(today),
            "classes": [one._asdict() for one in found],
            "log": _log_keeps(settings),
        }
        say(msgspec.json.format(msgspec.json.encode(report)).decode())
        return
    show(found, say)
    if today is None:
        say(_TOO_NEW)
    say(_log_keeps(settings))


def show(found: Sequence[State], say: Say) -> None:
    """Print a line for each site and class."""
    head = ("site", "class", "days", "then", "oldest", "rows", "due", "last run", "went", "source")
    rows = [
        (
            one.site, one.retention, "-" if one.days is None else one.days,
            "orders stay" if one.orders else "-", one.oldest or "-", one.rows, one.due,
            one.ended_at or "-", one.deleted, one.source or "no rules name it: it stays",
        )
        for one in found
    ]  # fmt: skip
    for line in table([head, *rows]):
        say(line)


async def retain_for_ever(
    store: Store, sites: Mapping[str, SiteSettings], turn: asyncio.Lock, metrics: Metrics
) -> None:
    """See every hour to it that what is over goes, a step at a time between batches."""
    while True:
        try:
            keepings = keepings_of(sites)
            async with turn:
                today = await believed_today(store, _clock_day())
            if today is not None:
                await _run_between(store, keepings, today, turn, metrics)
            metrics.retention_ended_at.set(time.time())
        except (Misconfigured, Unavailable) as trouble:
            _logger.warning("retention waits", why=str(trouble))
        await asyncio.sleep(_EVERY_S)


async def _run_between(
    store: Store, keepings: Keepings, today: int, turn: asyncio.Lock, metrics: Metrics
) -> None:
    async with turn:
        steps = retain(store, await over_on(store, keepings, today))
    gone: list[Gone | None] = []
    while True:
        async with turn:
            try:
                one = await anext(steps)
            except StopAsyncIteration:
                break
        gone.append(one)
        if one is not None:
            metrics.retention_deleted.labels(one.table).inc(one.rows)
    for site, name, rows in _added(gone):
        _logger.info("retention", site=site, retention=name, rows=rows)


def _added(gone: Sequence[Gone | None]) -> Sequence[tuple[str, str, int]]:
    rows: dict[tuple[str, str], int] = {}
    for one in (one for one in gone if one is not None):
        rows[one.site, one.retention] = rows.get((one.site, one.retention), 0) + one.rows
    return [(*key, count) for key, count in rows.items() if count]


def _clock_day() -> int:
    return int(time.time() // _DAY_S)


def _day(day: int | None) -> str | None:
    return None if day is None else str(date.fromordinal(date(1970, 1, 1).toordinal() + day))


def _log_keeps(settings: Settings) -> str:
    if settings.log.url == "embedded":
        return f"the embedded log keeps what has landed for {settings.log.retention_s:,} s"
    return f"Kafka keeps {settings.log.topic} for as long as the topic's retention.ms says"
