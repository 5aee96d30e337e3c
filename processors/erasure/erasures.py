"""The erasures of this store, from the mark to the receipt.

The control log says who is to go, the store what was done. So whatever stops in between, whichever
processor goes on, and also a store that was put back to an earlier state: what has marks and is
still there goes, and an erasure is closed only when the ledger and the spills have passed it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import structlog

from processors import ledger
from processors.erasure.erasing import Place, erase
from processors.erasure.marked import Erased, found
from processors.erasure.masking import purge
from processors.erasure.receipt import LogKept, Work, receipt_of
from processors.identity.person import linked
from processors.spills import spills_waiting
from processors.withdrawn import is_erased, subjects_of
from spine.control.followed import Control
from spine.control.mark import Mark
from spine.errors import Unavailable
from spine.failpoint import reach
from spine.log import Log
from spine.metrics import Metrics
from spine.record import EventRecord
from spine.store import packed

KeptUntil = Callable[[], Awaitable[LogKept]]
"""Says how long the log keeps what is on it now."""

_EVERY_S = 0.5
_PAGE = 5_000
_CLEANUP_MS = 360_000  # how seldom the store looks for old parts, at most
_logger = structlog.get_logger()


class Open(NamedTuple):
    """An erasure that has no receipt yet.

    Units: `until_ms` since 1970 UTC."""

    erasure: str
    site: str
    why: str
    until_ms: int
    log_id: str
    ends: Mapping[int, int]


class Eraser:
    """Executes marks in one store, for one process.

    Shape: `begun` is set when nothing is in the store any more that had a mark at the start; before
    that nothing may be derived from it."""

    def __init__(
        self, place: Place, log: Log, control: Control, kept_until: KeptUntil, metrics: Metrics
    ) -> None:
        self._place = place
        self._log = log
        self._control = control
        self._kept_until = kept_until
        self._metrics = metrics
        self.begun = asyncio.Event()
        self._number = 0
        self._looked = self._waits = False

    async def for_ever(self, turn: asyncio.Lock) -> None:
        """Execute what is marked and close what is done, between two batches, until cancelled."""
        while True:
            try:
                if not self.begun.is_set():
                    await self._control.current()
                await self.step(turn)
                self.begun.set()
            except Unavailable as trouble:
                _logger.warning("erasing waits", why=trouble.what)
                await asyncio.sleep(trouble.retry_after_s)
            await asyncio.sleep(_EVERY_S)

    async def step(self, turn: asyncio.Lock) -> None:
        """Do what can be done now. Raises: Unavailable."""
        if not self._control.marks:
            return
        await self.look(turn)
        if not self._waits:
            return
        waiting = await self.open()
        self._waits = bool(waiting)
        self._show(waiting)
        # Another log was adopted meanwhile, and is read from its start.
        await self._enter_open([one for one in waiting if one.log_id != self._place.log_id])
        waiting = [one for one in waiting if one.log_id == self._place.log_id]
        closable = [one for one in waiting if await self._is_passed(one)]
        if closable:
            await self._close(closable, turn)

    async def look(self, turn: asyncio.Lock) -> None:
        """Take in new marks, and take out what has one. Raises: Unavailable."""
        if await self._hear() or not self._looked:
            self._waits = True
            await self._sweep(turn)
            self._looked = True

    async def take(self, records: Iterable[EventRecord]) -> None:
        """Take out those of these events that have landed although they have a mark by now; for a
        batch that was judged before. Raises: Unavailable."""
        subjects = {
            subject: Erased(until_ms, "")
            for record in records
            if is_erased(self._control, record)
            for subject in subjects_of(record)
            if (until_ms := self._control.erased_of([subject])) >= 0
        }
        if subjects:
            await erase(self._place, subjects)

    async def blank(self, offsets: Iterable[int]) -> None:
        """Overwrite what was on an embedded log of somebody who was erased. Raises: Unavailable."""
        wanted = sorted(offsets)
        if wanted and self._place.blank is not None:
            await self._place.blank(wanted)

    async def _hear(self) -> bool:
        """Enter the marks that are new here; say whether there were any."""
        heard = False
        while (learnt := self._control.marks_after(self._number, _PAGE)).marks:
            missing = await self._missing(learnt.marks)
            await self._place.store.insert(
                "erasure_marks",
                {
                    "mark": [one.control_key for one in missing],
                    "erased_until": [one.at_ms for one in missing],
                    "erasure": [one.erasure for one in missing],
                },
            )
            await self._enter({one.erasure: one for one in learnt.marks})
            self._number, heard = learnt.number, True
        return heard

    async def _missing(self, marks: Sequence[Mark]) -> Sequence[Mark]:
        """Give those of the marks that the store has not: at a start it has nearly all."""
        rows = await self._place.store.select_after_write(
            "SELECT mark, toUnixTimestamp64Milli(erased_until), erasure FROM erasure_marks"
            f" WHERE mark IN {packed(one.control_key for one in marks)}"
        )
        stored = {(bytes(mark), int(at_ms), str(erasure)) for mark, at_ms, erasure in rows}
        return [one for one in marks if (one.control_key, one.at_ms, one.erasure) not in stored]

    async def _enter(self, marks: Mapping[str, Mark]) -> None:
        ids = ", ".join(f"'{one}'" for one in marks)
        rows = await self._place.store.select_after_write(
            f"SELECT erasure FROM erasures WHERE erasure IN ({ids})"
        )
        known = {row[0] for row in rows}
        await self._enter_open(
            [
                Open(one.erasure, one.site, one.why, one.at_ms, "", {})
                for one in marks.values()
                if one.erasure not in known
            ]
        )

    async def _enter_open(self, new: list[Open]) -> None:
        if not new:
            return
        ends = [(one, bound.end) for one, bound in (await self._log.bounds()).items()]
        await self._place.store.insert(
            "erasures",
            {
                "erasure": [one.erasure for one in new],
                "site": [one.site for one in new],
                "state": ["open"] * len(new),
                "why": [one.why for one in new],
                "erased_until": [one.until_ms for one in new],
                "log_id": [self._place.log_id] * len(new),
                "ends": [ends] * len(new),
                "version": [0] * len(new),
            },
        )

    async def _sweep(self, turn: asyncio.Lock) -> None:
        subjects = dict(await found(self._place.store, self._place.key))
        if not subjects:
            return
        # Who marked them may have died in the middle: without the edges nobody finds the rest.
        for subject in await linked(self._place.store, set(subjects)) - subjects.keys():
            subjects[subject] = await self._mark_too(subject, max(subjects.values()))
        async with turn:
            await erase(self._place, subjects)
        _logger.info("erased", identifiers=len(subjects))

    async def _mark_too(self, subject: bytes, erased: Erased) -> Erased:
        rows = await self._place.store.select_after_write(
            f"SELECT site FROM erasures WHERE erasure = '{erased.by}' LIMIT 1"
        )
        key = self._place.key
        mark = key.mark(subject).hex()
        site = rows[0][0] if rows else ""
        await self._control.enter_mark(Mark(mark, erased.until_ms, erased.by, site, key.name))
        return erased

    async def open(self) -> list[Open]:
        """Give the erasures without a receipt, the oldest first. Raises: Unavailable."""
        rows = await self._place.store.select_after_write(
            "SELECT erasure, site, why, toUnixTimestamp64Milli(erased_until), log_id, ends"
            " FROM erasures FINAL WHERE state = 'open' ORDER BY erased_until, erasure"
        )
        return [
            Open(str(row[0]), row[1], row[2], int(row[3]), row[4], dict(row[5])) for row in rows
        ]

    async def _is_passed(self, one: Open) -> bool:
        """Say whether all that was on the log, or in a spill that was told of, has been judged."""
        reached = await ledger.positions(self._place.store, one.log_id, list(one.ends))
        if any(reached[partition].offset < end for partition, end in one.ends.items()):
            return False
        return not await spills_waiting(self._place.store)

    async def _close(self, closable: list[Open], turn: asyncio.Lock) -> None:
        store = self._place.store
        await self._sweep(turn)  # what a batch under way has landed since
        await purge(store)
        kept = await self._kept_until()
        ((lifetime_s,),) = await store.select(
            "SELECT toUInt32(value) FROM system.merge_tree_settings"
            " WHERE name = 'old_parts_lifetime'"
        )
        for one in closable:
            now_ms = time.time_ns() // 1_000_000
            marks = await store.select(
                f"SELECT lower(hex(mark)) FROM erasure_marks FINAL WHERE erasure = '{one.erasure}'"
            )
            counts = await store.select(
                "SELECT table_name, max(found) FROM erasure_counts"
                f" WHERE erasure = '{one.erasure}' GROUP BY table_name ORDER BY table_name"
            )
            work = Work(
                one.erasure,
                one.site,
                one.why,
                one.until_ms,
                now_ms,
                [mark for (mark,) in marks],
                {table: int(count) for table, count in counts},
                now_ms + int(lifetime_s) * 1000 + _CLEANUP_MS,
                kept,
            )
            reach("before the erasure's receipt")
            await self._enter_receipt(one, receipt_of(work, self._place.key))
            reach("after the erasure's receipt")
            _logger.info("erasure closed", erasure=one.erasure)

    async def _enter_receipt(self, one: Open, receipt: bytes) -> None:
        await self._place.store.insert(
            "erasures",
            {
                "erasure": [one.erasure],
                "site": [one.site],
                "state": ["closed"],
                "why": [one.why],
                "erased_until": [one.until_ms],
                "log_id": [one.log_id],
                "ends": [list(one.ends.items())],
                "receipt": [receipt.decode()],
                "version": [await ledger.next_token(self._place.store)],
            },
        )
        self._metrics.erasures_closed.inc()

    def _show(self, waiting: list[Open]) -> None:
        self._metrics.erasures_open.set(len(waiting))
        oldest_ms = min((one.until_ms for one in waiting), default=0)
        age_s = time.time() - oldest_ms / 1000 if waiting else 0.0
        self._metrics.oldest_erasure_seconds.set(max(age_s, 0.0))
