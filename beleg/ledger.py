"""`beleg ledger`: the balance of every partition of every log, and of every site and day."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from beleg.admin import holds, ledger_report
from beleg.commands import Say, opened_books, opened_log, table
from beleg.open_log import own_log_id
from processors.adopt import plan
from processors.balance import FATES, Balance, LogBalance, balance, replaced_balances
from processors.logs import log_id_of
from processors.site_days import SiteDay, site_days
from processors.spills import SpillWaiting, spills_waiting
from spine.settings import Settings


class Books(msgspec.Struct, frozen=True):
    """Everything the ledger proves.

    Shape: `stranger` is what shows that the log is not the one that was read; None if nothing."""

    log_id: str
    partitions: Sequence[Balance]
    replaced: Sequence[LogBalance]
    days: Sequence[SiteDay]
    spills: Sequence[SpillWaiting]
    stranger: str | None

    @property
    def hold(self) -> bool:
        """Say whether everything is balanced and nothing was lost, also on logs of before."""
        return (
            all(holds(each) for each in (self.partitions, *(log[1] for log in self.replaced)))
            and self.unbalanced is None
            and self.stranger is None
        )

    @property
    def unbalanced(self) -> SiteDay | None:
        """Give the first site and day whose events are not its fates."""
        return next((one for one in self.days if one.missing or one.unfated), None)


async def ledger(settings: Settings, say: Say, *, days: bool, as_json: bool) -> int:
    """Print the balance; give 0 if it holds, else 1."""
    async with opened_books(settings) as store, opened_log(settings) as log:
        await store.check_version()
        log_id = await log_id_of(store, log, own_log_id(log))
        adoptable = await plan(store, log, own_log_id(log))
        books = Books(
            log_id,
            await balance(store, log_id, await log.bounds()),
            await replaced_balances(store, log.name),
            await site_days(store),
            await spills_waiting(store),
            adoptable.why if adoptable is not None else None,
        )
    if as_json:
        say(msgspec.json.format(msgspec.json.encode(_report(books))).decode())
    else:
        show(books, say, days=days)
    return 0 if books.hold else 1


def _report(books: Books) -> dict[str, Any]:
    return {
        **ledger_report(books.log_id, books.partitions),
        "holds": books.hold,
        "replaced": [
            {"log_id": log_id, "partitions": [one._asdict() for one in partitions]}
            for log_id, partitions in books.replaced
        ],
        "days": [one._asdict() for one in books.days],
        "spills": [one._asdict() for one in books.spills],
        "stranger": books.stranger,
    }


def show(books: Books, say: Say, *, days: bool) -> None:
    """Print the books for people; with a line for each site and day, or for each site."""
    _print_log(books.log_id, books.partitions, say)
    for log_id, partitions in books.replaced:
        say("")
        _print_log(log_id, partitions, say, "  replaced; nobody knows what was pending on it")
    for spill in books.spills:
        waited = f"{spill.records:,} records waited in its spill at {spill.told_at}"
        say(f"collector {spill.collector}: {waited}, not on the log yet")
    say("")
    for line in table(
        [("site", *(["day"] if days else []), *FATES, "events"), *_rows(books, days)]
    ):
        say(line)
    if (one := books.unbalanced) is not None:
        say(
            f"site {one.site}, {one.day}: {one.missing} stored without an event,"
            f" {one.unfated} events without a fate"
        )
    if books.stranger is not None:
        say(f"the log is not the one that was read: {books.stranger}: `beleg log adopt`")
    say("the ledger holds" if books.hold else "THE LEDGER DOES NOT HOLD")


def _print_log(log_id: str, balances: Sequence[Balance], say: Say, note: str = "") -> None:
    names = ("partition", "appended", *FATES, "lost", "pending")
    rows = [
        (one.partition, one.appended, *(one.fates[fate] for fate in FATES), one.lost, one.pending)
        for one in balances
    ]
    total = ("all", *(sum(row[column] for row in rows) for column in range(1, len(names))))
    say(f"log {log_id}{note}")
    for line in table([names, *rows, total] if len(rows) > 1 else [names, *rows]):
        say(line)
    for one in balances:
        if one.pending_range is not None:
            first, following = one.pending_range
            say(f"partition {one.partition}: offsets {first} to {following - 1} are pending")
        if one.unbalanced is not None:
            first, following = one.unbalanced
            offsets = f"offsets {first} to {following - 1}"
            say(f"partition {one.partition}: not one fate each for {offsets}")
        if one.lost:
            say(f"partition {one.partition}: the log dropped {one.lost} unread records")


def _rows(books: Books, days: bool) -> Iterable[Sequence[Any]]:
    totals: dict[tuple[str, ...], list[int]] = {}
    for one in books.days:
        key = (one.site or "(none)", *([str(one.day)] if days else []))
        counts = (*(one.fates.get(fate, 0) for fate in FATES), one.events)
        totals[key] = [a + b for a, b in zip(totals.get(key, [0] * 6), counts, strict=True)]
    return [(*key, *counts) for key, counts in totals.items()]
