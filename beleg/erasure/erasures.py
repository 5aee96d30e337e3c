"""Erasing somebody: who it is, the marks, and the first look; for the listener and the command."""

import asyncio
import secrets
import time
from collections.abc import Mapping
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from processors.erasure.erasing import Place, erase
from processors.erasure.marked import Erased
from processors.identity.person import Kind, Person, find
from processors.ledger import positions
from spine.control.followed import Control
from spine.control.mark import Mark
from spine.log import Log
from spine.store import Store

_CATCHES_UP_TRIES = 50


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is to be erased, by any identifier.

    Shape: `why` is kept, and stands in the receipt: a ticket's number, not a name."""

    site: str
    kind: Kind
    value: Annotated[str, Meta(min_length=1, max_length=256)]
    why: Annotated[str, Meta(max_length=200)] = ""


class State(NamedTuple):
    """How far an erasure is: its receipt once it is closed."""

    erasure: str
    state: str
    asked_at: str
    site: str
    receipt: str


class Erasures:
    """Takes erasures, where the store can be written and the control log is followed."""

    def __init__(self, place: Place, log: Log, control: Control, turn: asyncio.Lock) -> None:
        self._place = place
        self._log = log
        self._control = control
        self._turn = turn

    async def take(self, wanted: Wanted) -> str | None:
        """Return when a person is marked, durably, and no view shows anything of it any more: the
        id of the erasure, or None where nobody is known. Raises: Unavailable; then it may have
        been done in part, and asking again is safe."""
        await self._catch_up()
        person = await find(self._place.store, wanted.site, wanted.kind, wanted.value)
        if not person.is_known:
            return None
        erasure, at_ms = secrets.token_hex(8), time.time_ns() // 1_000_000
        key = self._place.key
        for subject in sorted(person.subjects):
            mark = key.mark(subject).hex()
            await self._control.enter_mark(
                Mark(mark, at_ms, erasure, wanted.site, key.name, wanted.why)
            )
        async with self._turn:
            await erase(self._place, dict.fromkeys(person.subjects, Erased(at_ms, erasure)))
        return erasure

    async def state(self, erasure: str) -> State | None:
        """Say how far an erasure is. Raises: Unavailable."""
        return next(iter(await states(self._place.store, erasure)), None)

    async def _catch_up(self) -> None:
        """Wait a while for what is on the log: it may tell of more devices."""
        ends = {partition: bound.end for partition, bound in (await self._log.bounds()).items()}
        for _ in range(_CATCHES_UP_TRIES):
            if await self._is_passed(ends):
                return
            await asyncio.sleep(0.2)

    async def _is_passed(self, ends: Mapping[int, int]) -> bool:
        reached = await positions(self._place.store, self._place.log_id, list(ends))
        return all(reached[partition].offset >= end for partition, end in ends.items())


async def states(store: Store, erasure: str = "") -> list[State]:
    """Give all erasures, the newest first, or the one of that id. Raises: Unavailable."""
    rows = await store.select(
        "SELECT erasure, state, toString(erased_until), site, receipt FROM erasures FINAL"
        " WHERE {erasure:String} IN ('', erasure) ORDER BY erased_until DESC, erasure",
        {"erasure": erasure},
    )
    return [State(*row) for row in rows]


def told(person: Person) -> list[tuple[str, int]]:
    """Say what there is of a person, for who is to decide about it."""
    return [
        ("devices (anonymous_id)", len(person.anonymous_ids)),
        ("users (user_id)", len(person.user_ids)),
        ("events", len(person.events)),
        ("orders (amounts stay, without who ordered)", len(person.order_keys)),
        ("decisions about consent (stay under a keyed hash)", person.decisions),
    ]
