"""`beleg audit`: whether derived rows are what their facts say."""

from datetime import date, datetime

import click

from beleg.commands import Say, opened_books
from processors.audit import audit as audited
from processors.keys import DAYS
from processors.rebuild import is_due
from spine.errors import Misconfigured
from spine.settings import Settings

_SETTLE_S = (2.0, 4.0, 8.0)
_EPOCH = date(1970, 1, 1)


def days_of(period: tuple[datetime | None, datetime | None]) -> tuple[int, int]:
    """Give the days of a period, both included, since 1970. Raises: Misconfigured."""
    since, until = (None if moment is None else (moment.date() - _EPOCH).days for moment in period)
    days = (DAYS[0] if since is None else since, DAYS[1] if until is None else until)
    if not DAYS[0] <= days[0] <= days[1] <= DAYS[1]:
        raise Misconfigured("--from, --to", "no day lies in this period")
    return days


async def audit(
    settings: Settings, period: tuple[datetime | None, datetime | None], say: Say
) -> int:
    """Print where derived rows differ from their facts; give 0 if nowhere, else 1."""
    days = days_of(period)
    rows = count = 0
    async with opened_books(settings) as store:
        await store.check_version()
        if await is_due(store):
            say("older rows are still to be rebuilt: `beleg rebuild`")
        # A store that only this process has open does not change.
        pauses_s = () if store.path is not None else _SETTLE_S
        async for part in audited(store, days, pauses_s):
            rows, count = rows + part.rows, count + len(part.differences)
            click.echo(f"\r{part.done / part.total:4.0%}  {rows:,} rows ", nl=False, err=True)
            for one in part.differences:
                say(f"{one.table}  {one.key}  {one.field}: {one.stored}, facts say {one.derived}")
    click.echo("", err=True)
    say(f"{rows:,} derived rows, {count:,} differences")
    return 1 if count else 0
