"""`beleg ledger` and `beleg trace`: what became of every record, and of one event."""

from collections.abc import Sequence

import msgspec

from beleg.admin import holds, ledger_report
from beleg.commands import Say, opened_books, opened_log, table
from beleg.house import own_log_id
from processors import balance as books
from processors import trace as paths
from processors.balance import FATES, Balance
from processors.logs import log_id_of
from spine.settings import Settings


async def ledger(settings: Settings, say: Say, *, as_json: bool) -> int:
    """Print the balance; give 0 if it holds, else 1."""
    async with opened_books(settings) as store, opened_log(settings) as log:
        log_id = await log_id_of(store, log, own_log_id(log))
        balances = await books.balance(store, log_id, await log.bounds())
    if as_json:
        say(msgspec.json.format(msgspec.json.encode(ledger_report(log_id, balances))).decode())
    else:
        _print_balances(log_id, balances, say)
    return 0 if holds(balances) else 1


def _print_balances(log_id: str, balances: Sequence[Balance], say: Say) -> None:
    names = ("partition", "appended", *FATES, "lost", "pending")
    rows = [
        (one.partition, one.appended, *(one.fates[fate] for fate in FATES), one.lost, one.pending)
        for one in balances
    ]
    total = ("all", *(sum(row[column] for row in rows) for column in range(1, len(names))))
    say(f"log {log_id}")
    for line in table([names, *rows, total] if len(rows) > 1 else [names, *rows]):
        say(line)
    for one in balances:
        if one.unbalanced is not None:
            first, last = one.unbalanced[0], one.unbalanced[1] - 1
            say(f"partition {one.partition}: not one fate each for offsets {first} to {last}")
        if one.lost:
            say(f"partition {one.partition}: the log dropped {one.lost} unread records")
    say("the ledger holds" if holds(balances) else "THE LEDGER DOES NOT HOLD")


async def trace(settings: Settings, event_id: str, say: Say, *, as_json: bool) -> int:
    """Print the path of one id; give 0 if something landed under it, else 1."""
    async with opened_books(settings) as store:
        found = await paths.trace(store, event_id)
    if as_json:
        say(msgspec.json.format(msgspec.json.encode(found)).decode())
        return 0 if found else 1
    for path in found:
        for name, value in path.items():
            if not isinstance(value, list):
                say(f"{name:18} {'-' if value in (None, '') else value}")
                continue
            for number, part in enumerate(value):
                shown = "  ".join(f"{key}={item}" for key, item in part.items())
                say(f"{name if number == 0 else '':18} {shown}")
        say("")
    if not found:
        say(
            f"nothing has landed under {event_id}. It was never accepted, or is still on the log"
            " (`beleg ledger` shows what is pending), or was refused or dropped: without consent"
            " an event leaves no trace but a count in v_consent_daily"
        )
    return 0 if found else 1
