"""What `beleg rates import` does, in the process that owns the store: all of a file, or nothing."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from beleg.owned import owned_store
from beleg.running import running
from processors.rates import Fault, Rate, forget_rates, gaps, keep_rates, known_days, read_rates
from spine.currencies import CURRENCIES
from spine.settings import Settings
from spine.store import Store


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of rates, as text: so much of a currency is one unit of `base` on a day. What is
    before `since` is left out. All that was stored before goes, if the file is to `replace` it."""

    csv: str
    base: Annotated[str, Meta(max_length=3)] = "EUR"
    since: date | None = None
    replace: bool = False


class Taken(msgspec.Struct, frozen=True):
    """Rates that were stored, and their first and last day."""

    rates: int
    currencies: int
    first: date
    last: date


class NotTaken(NamedTuple):
    """Why nothing of a file was taken: for what it says, or for what it is measured in."""

    about: Literal["csv", "base"]
    why: str


async def take_rates(store: Store, asked: Rates) -> Taken | NotTaken:
    """Store all rates of a file in a store that can be written, or none. Safe to repeat. Raises:
    Unavailable; where they were to replace what was there, there may be none then."""
    if asked.base not in CURRENCIES:
        return NotTaken("base", f'"{asked.base}" is not a current ISO 4217 code')
    found = await asyncio.to_thread(
        read_rates, asked.csv.encode(), asked.base, asked.since or date.min
    )
    if isinstance(found, Fault):
        where = f"line {found.line}, column {found.column}: " if found.line else ""
        return NotTaken("csv", f"{where}{found.why}")
    stored_base, days = ("", {}) if asked.replace else await known_days(store)
    if stored_base not in ("", asked.base):
        return NotTaken(
            "base", f"the store's rates are measured in {stored_base}; --replace takes their place"
        )
    gap = await asyncio.to_thread(_gap, found, days)
    if gap is not None:
        return NotTaken("csv", gap)
    if asked.replace:
        await forget_rates(store)
    await keep_rates(store, asked.base, found)
    currencies, on = {one.currency for one in found}, [one.on for one in found]
    return Taken(len(found), len(currencies), min(on), max(on))


def _gap(found: Sequence[Rate], days: Mapping[str, set[date]]) -> str | None:
    together = {currency: set(on) for currency, on in days.items()}
    for one in found:
        together.setdefault(one.currency, set()).add(one.on)
    for gap in gaps(together):
        return (
            f"{gap.currency} would have no rate from {gap.first} to {gap.last}: import those days"
            " with it, leave out what is before with --since, or take the place of all that is"
            " stored with --replace"
        )
    return None


async def import_rates(settings: Settings, asked: Rates) -> Taken | NotTaken:
    """Store them by the running process or alone. Raises: Misconfigured, Unavailable."""
    owner = running(settings)
    if owner is None:
        async with owned_store(settings) as store:
            return await take_rates(store, asked)
    answer = await owner.ask("/rates", asked, 200, 400)
    if answer.status == 200:
        return msgspec.convert(answer.said, Taken)
    about, _, why = str(answer.said["detail"]).partition(": ")
    return NotTaken("base" if about == "base" else "csv", why)
