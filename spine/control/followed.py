"""The control log, followed: what was withdrawn and who was erased, known in every process.

A small log beside the one of events: one value for each subject, the latest of which is kept for
ever. `EmbeddedControl` and `KafkaControl` hold it; everything else is here, for both.

Invariants:

1. `enter` returns when what was decided is durable; this process knows it from then on.
2. Everybody reads from the beginning, then follows. `reached_at` is a moment at which everything
   that was durable then is known here; it is observable, and whoever must not act on older
   knowledge asks for `current`.
3. What was read may be kept in a file, from which the next start reads on. How old the knowledge is
   counts from when the log's end was reached last, so a file makes nothing younger; one that is of
   another log is read anew, and what is known stays known.
4. Compaction keeps the last value of a subject, so that one must say everything: who reads one that
   says less than is known already, as when two collectors wrote at once, appends the joined one.
   The log must keep all values long enough for that: `min.compaction.lag.ms` is a day.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Collection, Iterable
from pathlib import Path

import structlog

from spine.control.log import ControlLog
from spine.control.mark import NEVER_MS, Mark, Told, decode_told, encode_told
from spine.control.marks import Learnt, Marks
from spine.control.withdrawal import NOTHING, Withdrawal, Withdrawn, decision
from spine.control.withdrawals import Reached, Withdrawals
from spine.digest import identifier_id, record_digest
from spine.erasure_key import ErasureKey
from spine.errors import Misconfigured, Unavailable
from spine.failpoint import reach

_POLL_S = 0.25
_AGAIN_AFTER_S = 0.2
_CURRENT_WITHIN_S = 2.0
_logger = structlog.get_logger()


class Control:
    """The knowledge of one process; `follow` keeps it up to date.

    Shape: with `kept`, a file that belongs to this process alone, it survives the process. Without
    a key marks cannot be read, and the first one ends `follow`."""

    def __init__(
        self, log: ControlLog, key: ErasureKey | None = None, kept: Path | None = None
    ) -> None:
        """Recall what was kept. Raises: Misconfigured when its marks are of another key."""
        self._log = log
        self._key = key
        self._known = Withdrawals(kept)
        self._marks = Marks()
        for mark in self._known.marks():
            self._check_key(mark)
            _ = self._marks.learn(mark)
        self._position, self._last, _ = self._known.reached
        self._is_ours = not self._position
        self._was_at_end = False
        self._moved = asyncio.Condition()
        self._said_less: set[bytes] = set()
        self._is_open = False
        self._waits = False
        self.reached_at = _monotonic(self._known.reached.at_ms)

    @property
    def age_s(self) -> float:
        """How old the knowledge is, in seconds; infinite until the log was read for once."""
        return time.monotonic() - self.reached_at

    @property
    def subjects(self) -> int:
        """How many subjects have ever withdrawn something."""
        return self._known.count

    def of(self, site: str, anonymous_id: str | None, user_id: str | None) -> Withdrawn:
        """Give what is withdrawn for an event of this device and this user."""
        if not self._known.count:
            return NOTHING
        withdrawn = NOTHING
        for kind, name in (("anonymous_id", anonymous_id), ("user_id", user_id)):
            if name is not None and (found := self._known.find(identifier_id(site, kind, name))):
                withdrawn = withdrawn.also(found.at())
        return withdrawn

    def at(self, subject: bytes, at_ms: int) -> Withdrawn:
        """Give what a subject had withdrawn at a time."""
        found = self._known.find(subject)
        return NOTHING if found is None else found.at(at_ms)

    @property
    def marks(self) -> int:
        """How often a mark was learnt: while it stays the same, nobody else was erased."""
        return self._marks.learnt

    def marks_after(self, number: int, limit: int) -> Learnt:
        """Give some marks that were learnt after one of that number; 0 begins."""
        return self._marks.after(number, limit)

    def erased_until(
        self,
        site: str,
        anonymous_id: str | None,
        user_id: str | None,
        further: Iterable[tuple[str, str | None]] = (),
    ) -> int:
        """Give up to when events of this device, this user or who else is named, each with its
        kind, are erased, `NEVER_MS` for never."""
        if not self._marks.learnt:
            return NEVER_MS
        named = (("anonymous_id", anonymous_id), ("user_id", user_id), *further)
        return self.erased_of(
            identifier_id(site, kind, name) for kind, name in named if name is not None
        )

    def erased_of(self, subjects: Iterable[bytes]) -> int:
        """Give up to when whatever carries one of these identifiers is erased, or `NEVER_MS`."""
        if not self._marks.learnt or self._key is None:
            return NEVER_MS
        found = (self._marks.find(self._key.mark(subject)) for subject in subjects)
        return max((mark.at_ms for mark in found if mark is not None), default=NEVER_MS)

    async def enter_mark(self, mark: Mark) -> None:
        """Return when a mark is durable and in force here. Raises: Unavailable; then it may be
        there all the same, and entering it again is safe."""
        reach("before the mark")
        await self._append(mark)
        reach("after the mark")
        _ = self._marks.learn(mark)

    async def enter(
        self, subject: bytes, granted: Collection[str], denied: Collection[str], at_ms: int
    ) -> None:
        """Return when it is durable that a subject grants and denies these purposes. Raises:
        Unavailable; then it may be there all the same, and entering it again is safe.

        A denial comes after every grant that is known here, also when clocks differ. A grant that
        lifts nothing is not written: there are as many as visitors."""
        if granted and not denied:
            await self.current()
        known = self._known.find(subject)
        if known is None and not denied:
            return
        denied_ms = max(at_ms, known.granted_ms if known else 0)
        decided: dict[str, tuple[int, ...]] = {}
        decided |= dict.fromkeys(granted, (decision(at_ms, withdrawn=False),))
        decided |= dict.fromkeys(denied, (decision(denied_ms, withdrawn=True),))
        told = Withdrawal(subject.hex(), decided)
        joined = told if known is None else known.join(told)
        reach("before the control append")
        await self._append(joined)
        reach("after the control append")
        self._known.learn(joined)

    async def begin(self, within_s: float) -> None:
        """Return when the log was read to its end for the first time, or after so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s), self._moved:
                await self._moved.wait_for(lambda: self._was_at_end)

    async def current(self) -> None:
        """Return when everything is known that was durable at the call. Raises: Unavailable."""
        try:
            async with asyncio.timeout(_CURRENT_WITHIN_S):
                end = await self._log.end()
                async with self._moved:
                    await self._moved.wait_for(lambda: self._position >= end)
        except TimeoutError as error:
            raise Unavailable("the control log cannot be read in time") from error

    async def follow(self) -> None:
        """Read for ever. Raises: Misconfigured."""
        while True:
            try:
                if not self._is_open:
                    await self._log.open()
                    self._is_open = True
                await self._read_on()
                self._waits = False
            except Unavailable as trouble:
                if not self._waits:
                    _logger.warning("control log cannot be read", why=trouble.what)
                self._waits = True
                await asyncio.sleep(_AGAIN_AFTER_S)

    async def close(self) -> None:
        """Let go of the log and of what is known."""
        await self._log.close()
        self._known.close()
        self._marks.close()

    async def _read_on(self) -> None:
        asked_at, asked_ms = time.monotonic(), time.time_ns() // 1_000_000
        if not self._is_ours:
            await self._recognise()
        end = await self._log.end()
        if end < self._position:  # another one stands there now; what is known stays known
            self._position = 0
        while self._position < end:
            await self._take(1.0)
        for key in list(self._said_less):
            if known := self._known.find(key) or self._marks.find(key):
                await self._append(known)
            self._said_less.discard(key)
        self.reached_at, self._was_at_end = asked_at, True
        await self._tell()
        self._keep(self._position, self._last, asked_ms)
        await self._take(_POLL_S)

    async def _recognise(self) -> None:
        """See whether the value that was read last stands where it stood: else begin anew.

        Compaction may have taken it, too, when its subject decided again long ago."""
        page = await self._log.read(self._position - 1, 1.0)
        if not page.values or record_digest(page.values[0]) != self._last:
            _logger.warning("control log is not the one that was kept: reading all of it")
            self._position = 0
        self._is_ours = True

    async def _take(self, wait_s: float) -> None:
        page = await self._log.read(self._position, wait_s)
        with self._known.page():
            for value in page.values:
                self._hear(value)
            last = record_digest(page.values[-1]) if page.values else self._last
            self._keep(page.position, last, self._known.reached.at_ms)
        self._last = last
        self._position = page.position
        await self._tell()

    def _keep(self, position: int, last: bytes, at_ms: int) -> None:
        if not self._said_less:  # else the next start has to meet them again
            self._known.reach(Reached(position, last, at_ms))

    def _hear(self, value: bytes) -> None:
        told = decode_told(value)
        if told is None:  # to go on would be to keep what somebody has withdrawn
            raise Misconfigured("log.url", "the control log is of a newer version: run that")
        if self._learn(told) == told:
            self._said_less.discard(told.control_key)
        else:
            self._said_less.add(told.control_key)

    def _learn(self, told: Told) -> Told:
        if isinstance(told, Withdrawal):
            return self._known.learn(told)
        self._check_key(told)
        known = self._marks.learn(told)
        self._known.keep(known)
        return known

    def _check_key(self, told: Mark) -> None:
        if self._key is None or self._key.name != told.key:  # or who was erased would come back
            raise Misconfigured(
                "erasure.key_file",
                f"people were erased under key {told.key}, and this process has"
                f" {'another one' if self._key else 'none'}: give it the same key",
            )

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    async def _append(self, told: Told) -> None:
        await self._log.append(told.control_key, encode_told(told))


def _monotonic(at_ms: int) -> float:
    """Give an instant of the wall clock by the monotonic one; one that lies ahead, as after a
    clock was put back, is as good as never."""
    age_s = time.time() - at_ms / 1000
    return time.monotonic() - age_s if at_ms and age_s >= 0 else -float("inf")


@contextlib.asynccontextmanager
async def followed(log: ControlLog, key: ErasureKey | None = None) -> AsyncIterator[Control]:
    """Give what is known of a control log, read to its end if that is quick, and follow it."""
    control = Control(log, key)
    following = asyncio.create_task(control.follow())
    try:
        await control.begin(_CURRENT_WITHIN_S)
        yield control
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await control.close()
