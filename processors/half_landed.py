"""What an interrupted landing left of events of which less may land by now.

An event lands table by table, and `seen` says last that it has. A processor that dies in between
judges it anew, and a withdrawal may be known by then: what had landed of the event as it was sent
is taken out before what is left of it lands. `events` comes first of what lands and goes last of
what is taken out: whoever begins anew finds by it what is still to be done.
"""

from collections.abc import Sequence

from processors.derive import touched
from processors.erasure.erasing import LEAD_IDENTITY
from processors.judge import Reading
from processors.keys import KINDS, KeySet
from processors.rebuild import rederive
from spine.record import EventRecord
from spine.store import Store, packed

_FACTS = ("visitor_facts", "order_facts", "identity_evidence")


async def take_out(store: Store, reduced: Sequence[Reading]) -> None:
    """Take out all that has landed of these events, as they stand on the log; the rows are gone
    from the files, too. Raises: Unavailable; then do it again."""
    events = [each.content for each in reduced if isinstance(each.content, EventRecord)]
    if not events:  # as nearly always
        return
    ids = ", ".join(f"unhex('{event.event_id.encode().hex()}')" for event in events)
    rows = await store.select_after_write(
        f"SELECT DISTINCT identity FROM events WHERE event_id IN ({ids})"
        f" AND identity IN {packed(bytes.fromhex(event.identity) for event in events)}"
    )
    landed = {bytes(identity).hex() for (identity,) in rows}
    events = [event for event in events if event.identity in landed]
    if not events:
        return
    here = packed(bytes.fromhex(event.identity) for event in events)
    for table in _FACTS:
        await _delete(store, table, f"identity IN {here}")
    await _delete(store, "lead_facts", f"{LEAD_IDENTITY} IN {here}")
    keys = touched(events)
    # Others may have derived from these facts meanwhile; of whom none is left nothing is shown.
    for kind, of_kind in zip(
        KINDS, (keys.visitor_days, keys.order_keys, keys.identifiers), strict=True
    ):
        if of_kind:
            _ = await rederive(store, KeySet(kind, frozenset(of_kind)))
    await _delete(store, "events", f"identity IN {here}")


async def _delete(store: Store, table: str, where: str) -> None:
    await store.mutate(
        table, f"ALTER TABLE {table} DELETE WHERE {where} SETTINGS mutations_sync = 2"
    )
