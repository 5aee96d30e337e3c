"""`beleg trace`: the whole path of one event."""

from collections.abc import Mapping
from typing import Any

import msgspec

from beleg.commands import Say, opened_books, opened_log
from beleg.open_log import own_log_id
from processors import trace as paths
from processors.balance import balance
from processors.logs import log_id_of
from spine.settings import Settings
from spine.store import Store


async def trace(settings: Settings, event_id: str, say: Say, *, as_json: bool) -> int:
    """Print the path of one id; give 0 if something landed under it, else 1."""
    async with opened_books(settings) as store:
        await store.check_version()
        found = await paths.trace(store, event_id)
        unread = await paths.rejected(store, event_id)
        pending = 0 if found else await _pending(settings, store)
    if as_json:
        report = {"events": found, "rejected": unread}
        say(msgspec.json.format(msgspec.json.encode(report)).decode())
        return 0 if found else 1
    for path in found:
        _print(path, say)
        say("")
    if not found:
        say(
            f"nothing has landed under {event_id}. Either it was never accepted: look at the answer"
            " the sender got. Or it was refused or dropped: without consent nothing of an event may"
            " be kept, its id neither, only a count in v_consent_daily. Or it is still on the log:"
            f" {pending:,} records are pending."
        )
    for one in unread:
        say(f"a record that could not be read has this id in it: {_in_a_line(one)}")
    return 0 if found else 1


async def _pending(settings: Settings, store: Store) -> int:
    async with opened_log(settings) as log:
        log_id = await log_id_of(store, log, own_log_id(log))
        return sum(one.pending for one in await balance(store, log_id, await log.bounds()))


def _print(path: Mapping[str, Any], say: Say) -> None:
    for name, value in path.items():
        if not isinstance(value, list):
            say(f"{name:18} {'-' if value in (None, '') else value}")
            continue
        for number, part in enumerate(value):
            say(f"{name if number == 0 else '':18} {_in_a_line(part)}")


def _in_a_line(part: Mapping[str, Any] | str) -> str:
    if isinstance(part, str):
        return part
    return "  ".join(f"{key}={'-' if item is None else item}" for key, item in part.items())
