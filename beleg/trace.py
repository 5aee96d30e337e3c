"""`beleg trace`: the whole path of one event."""

import msgspec

from beleg.commands import Say, opened_books
from processors import trace as paths
from spine.settings import Settings


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
