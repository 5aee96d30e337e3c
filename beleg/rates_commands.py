"""`beleg rates`: the exchange rates by which amounts are shown in a site's currency."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import click

from beleg.rates import NotTaken, Rates
from beleg.rates import import_rates as imported
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
@click.option("--replace", is_flag=True, help="Forget all that was imported before, of any base.")
@click.pass_obj
def import_rates(
    settings: Callable[[], Settings],
    file: Path,
    base: str,
    since: datetime | None,
    *,
    replace: bool,
) -> None:
    """Take exchange rates from a file.

    FILE is CSV, `date,currency,rate`, or a column for each currency after `Date` as in the ECB's
    eurofxref-hist.csv: so much of the currency is one unit of the base that day. A rate counts for
    the days after it, too, at most 7, until the next one. The last import of a currency and day
    counts. What was wrong in an earlier file, such as a day far ahead, goes with --replace.

    All of the file is taken or nothing: exit 2 names line and column of what is wrong, and the days
    that would be left without a rate between others. While `beleg run` runs, the running process
    does it.
    """
    asked = Rates(_text(file), base, since.date() if since else None, replace)
    taken = run_to_end(imported(settings(), asked))
    if isinstance(taken, NotTaken):
        raise Misconfigured("--base" if taken.about == "base" else str(file), taken.why)
    click.echo(
        f"{taken.rates:,} rates of {taken.currencies} currencies, {taken.first} to {taken.last}"
    )


def _text(file: Path) -> str:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise Misconfigured(str(file), f"cannot be read: {error.strerror}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        why = f"line {line}, column {column}: is no UTF-8"
        raise Misconfigured(str(file), why) from error
