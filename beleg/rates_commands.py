"""`beleg rates`: the exchange rates by which amounts are shown in a site's currency."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path

import click

from beleg.owned import owned_store
from processors.rates import Fault, Rate, gaps, keep_rates, known_days, read_rates
from spine.currencies import CURRENCIES
from spine.errors import Misconfigured
from spine.runtime import run_to_end
from spine.settings import Settings


@click.group()
def rates() -> None:
    """Look after exchange rates."""


@rates.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--base", default="EUR", show_default=True, help="What one unit is given of.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Leave out what is before.")
@click.pass_obj
def import_rates(
    settings: Callable[[], Settings], file: Path, base: str, since: datetime | None
) -> None:
    """Take exchange rates from a file.

    FILE is CSV, `date,currency,rate`, or a column for each currency after `Date` as in the ECB's
    eurofxref-hist.csv: so much of the currency is one unit of the base that day. A rate counts for
    the days after it, too, at most 7, until the next one. The last import of a currency and day
    counts.

    All of the file is taken or nothing: exit 2 names line and column of what is wrong, and the days
    that would be left without a rate between others. An embedded store must be let go of first:
    while `beleg run` runs this exits 2.
    """
    found = _read(file, base, since.date() if since else date.min)
    run_to_end(_import(settings(), file, base, found))


def _read(file: Path, base: str, since: date) -> Sequence[Rate]:
    if base not in CURRENCIES:
        raise Misconfigured("--base", f'"{base}" is not a current ISO 4217 code')
    try:
        data = file.read_bytes()
    except OSError as error:
        raise Misconfigured(str(file), f"cannot be read: {error.strerror}") from error
    found = read_rates(data, base, since)
    if isinstance(found, Fault):
        where = f"line {found.line}, column {found.column}: " if found.line else ""
        raise Misconfigured(str(file), f"{where}{found.why}")
    return found


async def _import(settings: Settings, file: Path, base: str, found: Sequence[Rate]) -> None:
    async with owned_store(settings) as store:
        stored_base, days = await known_days(store)
        if stored_base not in ("", base):
            raise Misconfigured("--base", f"the store's rates are measured in {stored_base}")
        _refuse_gaps(file, found, days)
        await keep_rates(store, base, found)
    currencies = {one.currency for one in found}
    first, last = min(one.on for one in found), max(one.on for one in found)
    click.echo(f"{len(found):,} rates of {len(currencies)} currencies, {first} to {last}")


def _refuse_gaps(file: Path, found: Sequence[Rate], days: Mapping[str, set[date]]) -> None:
    together = {currency: set(on) for currency, on in days.items()}
    for one in found:
        together.setdefault(one.currency, set()).add(one.on)
    for gap in gaps(together):
        raise Misconfigured(
            str(file),
            f"{gap.currency} would have no rate from {gap.first} to {gap.last}: import those days"
            " with it, or leave out what is before with --since",
        )
