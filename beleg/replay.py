"""`beleg replay`: put records onto the log once more, judged by the program and rules of today."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import NamedTuple

import click

from beleg.commands import Say, opened_books, opened_log
from beleg.open_log import control_log, erasure_key, own_log_id
from consent_rules.regions import load_all
from processors import ledger, logs
from processors.judge import read
from processors.rejects import Rejects, pages, piles
from processors.replay import Again, IsErased, Left, Regime, again
from processors.seen import seen
from processors.withdrawn import is_erased
from spine.control.followed import followed
from spine.errors import Misconfigured
from spine.failpoint import reach
from spine.log import Entry, Log, Range, Record
from spine.record import decode
from spine.settings import Settings
from spine.store import Store

# At 256 KiB, the largest a collector writes, a page is below what Kafka's appender lets wait.
_PAGE_RECORDS = 200


class Records(NamedTuple):
    """What is to be replayed, page by page, and how many they are."""

    pages: AsyncIterator[Sequence[Record]]
    total: int


async def replay(settings: Settings, wanted: Rejects | Range, say: Say, *, only_tell: bool) -> int:
    """Append what can be read and kept now and has not landed; give 0 if that is all, else 1."""
    regimes = {
        name: Regime(load_all(name, site.consent, site.regions), site.currency)
        for name, site in settings.sites.items()
    }
    async with (
        opened_books(settings) as store,
        opened_log(settings, appends=not only_tell) as log,
        followed(control_log(settings), erasure_key(settings)) as control,
    ):
        await control.current()
        await store.check_version()
        log_id = await logs.log_id_of(store, log, own_log_id(log))
        if isinstance(wanted, Range):
            records = await on_the_log(store, log, log_id, wanted)
        else:
            records = await _rejected(store, wanted)
        erased = partial(is_erased, control)
        replaying = Replaying(store, log, regimes, erased, only_tell=only_tell)
        async for page in records.pages:
            await replaying.page(page)
            click.echo(f"\r{replaying.read:,} of {records.total:,} records ", nl=False, err=True)
    click.echo("", err=True)
    return replaying.conclude(records.total, say)


async def _rejected(store: Store, wanted: Rejects) -> Records:
    found = await piles(store, wanted)

    async def all_pages() -> AsyncIterator[Sequence[Record]]:
        for pile in found:
            async for page in pages(store, wanted, pile, _PAGE_RECORDS):
                yield page

    return Records(all_pages(), sum(pile.records for pile in found))


async def on_the_log(store: Store, log: Log, log_id: str, wanted: Range) -> Records:
    """Give the records of a range that the processors have passed. Raises: Misconfigured when the
    log does not hold it, Unavailable."""
    partition, first, following = wanted
    if not 0 <= partition < log.partitions or not 0 <= first < following:
        raise Misconfigured(
            "--range", f"{log.name} has partitions 0 to {log.partitions - 1}, offsets rise"
        )
    start = (await log.bounds())[partition].start
    end = (await ledger.positions(store, log_id, [partition]))[partition].offset
    if first < start or following > end:
        raise Misconfigured(
            "--range",
            f"partition {partition} holds offsets {start} to {end - 1} that the processors have"
            " passed; what comes after is judged anyway, what came before is gone",
        )

    async def all_pages() -> AsyncIterator[Sequence[Record]]:
        at = first
        while at < following:
            page = await log.read(partition, at, min(_PAGE_RECORDS, following - at))
            # Retention goes on meanwhile, and then the log gives what comes after the gap.
            page = [record for record in page if record.offset < following]
            if not page:
                return
            yield page
            at = page[-1].offset + 1

    return Records(all_pages(), following - first)


class Replaying:
    """One run of the command: what it has met so far, and what became of it."""

    def __init__(
        self,
        store: Store,
        log: Log,
        regimes: dict[str, Regime],
        erased: IsErased,
        *,
        only_tell: bool,
    ) -> None:
        self._store = store
        self._log = log
        self._regimes = regimes
        self._erased = erased
        self._only_tell = only_tell
        self._appended = self._landed = self._dropped = 0
        self._left: Counter[str] = Counter()
        self.read = 0

    async def page(self, records: Sequence[Record]) -> None:
        """Replay some records. Raises: Unavailable; then some of them may be on the log."""
        judged = [
            (reading.identity, again(reading.content, self._regimes, self._erased))
            for reading in read(records, decode)
        ]
        named = {before for before, _ in judged}
        named |= {one.identity for _, one in judged if isinstance(one, Again)}
        landed = await seen(self._store, named)
        entries = []
        for before, one in judged:
            if before in landed or (isinstance(one, Again) and one.identity in landed):
                self._landed += 1
            elif isinstance(one, Left):
                self._leave(one)
            else:
                entries.append(Entry(one.key, one.value))
        await self._append(entries)
        self.read += len(records)

    def _leave(self, one: Left) -> None:
        if one.is_dropped:
            self._dropped += 1
        else:
            self._left[one.why] += 1

    async def _append(self, entries: Sequence[Entry]) -> None:
        if entries and not self._only_tell:
            reach("before the replay's append")
            await self._log.append(entries)
            reach("after the replay's append")
        self._appended += len(entries)

    def conclude(self, total: int, say: Say) -> int:
        """Say what became of the records; give 0 if none is left to be mended, else 1."""
        if total > self.read:
            self._left["gone meanwhile"] = total - self.read
        appended = "would be appended" if self._only_tell else "appended"
        say(
            f"{self.read:,} records: {self._appended:,} {appended}, {self._landed:,} landed"
            f" already, {self._dropped:,} dropped by consent or erasure,"
            f" {self._left.total():,} left as they are"
        )
        for why, count in sorted(self._left.items()):
            say(f"  {why}: {count:,}")
        if self._appended and not self._only_tell:
            say("the processors land them now: `beleg ledger` shows what is pending")
        return 1 if self._left else 0
