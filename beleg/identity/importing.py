"""`beleg identity import`: what the CRM knows of who is one person, as events on the log.

Invariants:

1. Nothing is appended before the whole file has been looked at.
2. What goes onto the log is judged by the rules, withdrawals and erasures of now.
3. A row is the same event whenever it is read: what has landed is not appended again, and of a copy
   that is still on its way the processors make a duplicate.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple
from zoneinfo import ZoneInfo

import click

from beleg.commands import Say, opened_books, opened_log
from beleg.identity.file import MOST_LINE_BYTES, Expected, Fault, Row, read_rows, time_of
from beleg.identity.link import Left, Link, judge
from beleg.open_log import control_log, erasure_key
from beleg.owned import owned_store
from beleg.parcel import bounded_lines
from beleg.running import running
from collector.known import NOTHING_KNOWN, Known
from collector.source import Source
from consent_rules.regions import load_all
from processors.retention.over import first_days
from processors.seen import seen
from spine.control.followed import followed
from spine.errors import Misconfigured
from spine.failpoint import reach
from spine.log import Log
from spine.settings import Settings
from spine.store import Store

_PAGE_ROWS = 500
_MOST_FAULTS = 20
_DAY_S = 86_400
_WHY: Mapping[str, str] = {
    "no_consent": "without the consent that connecting takes",
    "withdrawn": "of somebody who has withdrawn that",
    "erased": "from before somebody in them was erased",
    "alone": "with fewer than two identifiers that name somebody",
    "too_old": "older than anything the site keeps",
    "repeated": "that say what another row says",
}


class Wanted(NamedTuple):
    """Which file is to be imported for which site; `at` is the time of rows that tell none."""

    file: Path
    site: str
    at: str | None
    only_tell: bool


class Rules(NamedTuple):
    """How rows are read and judged.

    Units: no event of a class stays from before its day, since 1970, UTC."""

    source: Source
    expected: Expected
    first_days: Mapping[str, int]

    @property
    def needs(self) -> str:
        """The purposes that allow to connect."""
        return " and ".join(self.source.regimes.own.needs.identity)


async def import_file(settings: Settings, wanted: Wanted, say: Say) -> int:
    """Append what a file says of who is one person, once; give 0. Raises: Misconfigured when
    anything is wrong with the file, and then nothing was appended; Unavailable."""
    rules = _rules(settings, wanted)
    # Where nothing runs, nothing may begin to before the store is let go of.
    rests = settings.log.url == "embedded" and running(settings) is None
    with _opened(wanted.file) as rows_of:
        total = _looked_at(rows_of, rules, wanted.file)
        async with (
            (owned_store if rests else opened_books)(settings) as store,
            opened_log(settings, appends=not wanted.only_tell) as log,
            followed(control_log(settings), erasure_key(settings)) as control,
        ):
            await store.check_version()
            await control.current()
            rules = rules._replace(first_days=await _first_days(store, rules.source))
            known = Known(control.of, control.erased_until)
            importing = Importing(store, None if wanted.only_tell else log, rules, known)
            for page in _pages(rows_of(rules.expected)):
                rows = [row for row in page if isinstance(row, Row)]
                if len(rows) < len(page):
                    raise Misconfigured(
                        str(wanted.file), "has changed since it was looked at: import it again"
                    )
                await importing.page(rows)
                _progress(f"{importing.rows:,} of {total:,} rows")
    click.echo("", err=True)
    importing.conclude(say)
    return 0


def _rules(settings: Settings, wanted: Wanted) -> Rules:
    if wanted.site not in settings.sites:
        raise Misconfigured("--site", f'"{wanted.site}" is not in the settings')
    chosen = settings.sites[wanted.site]
    zone = ZoneInfo(chosen.timezone)
    at: datetime | None = None
    if wanted.at is not None and (at := time_of(wanted.at, zone)) is None:
        raise Misconfigured("--at", f'"{wanted.at}" is no time like 2026-11-20')
    regimes = load_all(wanted.site, chosen.consent, chosen.regions)
    source = Source(wanted.site, "server", chosen.currency, zone, frozenset(), regimes)
    return Rules(source, Expected(wanted.site, zone, regimes.own.purposes, at), {})


async def _first_days(store: Store, source: Source) -> Mapping[str, int]:
    known, today = await first_days(store), int(time.time()) // _DAY_S
    return {
        name: max(today - keeping.days + 1, known.get((source.site, name), 0))
        for name, keeping in source.regimes.keepings.items()
    }


_RowsOf = Callable[[Expected], Iterator[Row | Fault]]


@contextmanager
def _opened(file: Path) -> Iterator[_RowsOf]:
    try:
        stream = file.open("rb")
    except OSError as error:
        raise Misconfigured(str(file), f"cannot be read: {error.strerror}") from error
    with stream:
        yield partial(_from_the_start, stream)


def _from_the_start(stream: BinaryIO, expected: Expected) -> Iterator[Row | Fault]:
    stream.seek(0)
    return read_rows(bounded_lines(stream, MOST_LINE_BYTES), expected)


def _pages(rows: Iterator[Row | Fault]) -> Iterator[list[Row | Fault]]:
    while page := [*islice(rows, _PAGE_ROWS)]:
        yield page


def _looked_at(rows_of: _RowsOf, rules: Rules, file: Path) -> int:
    """Give how many rows a file has. Raises: Misconfigured when it may not be imported."""
    total = wrong = 0
    faults: list[Fault] = []
    for page in _pages(rows_of(rules.expected)):
        found = [*_faults(page, rules.source)]
        faults += found[: _MOST_FAULTS - len(faults)]
        wrong += len(found)
        total += len(page)
        _progress(f"{total:,} rows looked at")
    click.echo("", err=True)
    for fault in faults:
        click.echo(f"{file}: {fault}", err=True)
    if wrong:
        shown = f", the first {len(faults)} stand above" if wrong > len(faults) else ""
        raise Misconfigured(str(file), f"{wrong:,} errors{shown}; nothing was imported")
    return total


def _faults(page: Sequence[Row | Fault], source: Source) -> Sequence[Fault]:
    rows = [row for row in page if isinstance(row, Row)]
    refused = [
        Fault(row.line, "at", judged.detail)
        for row, judged in zip(rows, judge(rows, source, NOTHING_KNOWN), strict=True)
        if isinstance(judged, Left) and judged.detail
    ]
    return sorted([*refused, *(row for row in page if isinstance(row, Fault))])


def _progress(told: str) -> None:
    click.echo(f"\r{told} ", nl=False, err=True)


class Importing:
    """One run of the command: what it has met so far, and what became of it. Without a log it only
    looks."""

    def __init__(self, store: Store, log: Log | None, rules: Rules, known: Known) -> None:
        self._store = store
        self._log = log
        self._rules = rules
        self._known = known
        self._met: set[bytes] = set()
        self._left: Counter[str] = Counter()
        self._blocked: Counter[str] = Counter()
        self._appended = self._links = self._landed = 0
        self.rows = 0

    async def page(self, rows: Sequence[Row]) -> None:
        """Import some rows. Raises: Unavailable; then some of them may be on the log."""
        links = [*self._links_of(rows)]
        landed = await seen(self._store, {link.identity for link in links})
        fresh = [link for link in links if link.identity not in landed]
        if fresh and self._log is not None:
            reach("before the import's append")
            await self._log.append([link.entry for link in fresh])
            reach("after the import's append")
        self._landed += len(links) - len(fresh)
        self._appended += len(fresh)
        self._links += sum(link.links for link in fresh)
        self._blocked.update(column for row in rows for column in row.blocked)
        self.rows += len(rows)

    def _links_of(self, rows: Sequence[Row]) -> Iterator[Link]:
        for judged in judge(rows, self._rules.source, self._known):
            if isinstance(judged, Left):
                self._left[judged.why] += 1
            elif judged.identity in self._met:
                self._left["repeated"] += 1
            elif judged.day < self._rules.first_days.get(judged.retention, 0):
                self._left["too_old"] += 1
            else:
                self._met.add(judged.identity)
                yield judged

    def conclude(self, say: Say) -> None:
        """Say what became of the rows."""
        imported = "imported" if self._log is not None else "would be imported"
        say(
            f"{self.rows:,} rows: {self._appended:,} {imported} with {self._links:,} links,"
            f" {self._landed:,} landed already, {self._left.total():,} left out"
        )
        for why, count in self._left.items():
            needs = f": {self._rules.needs}" if why == "no_consent" else ""
            say(f"  {count:,} {_WHY.get(why, why)}{needs}")
        if self._blocked:
            told = ", ".join(f"{column} {count:,}" for column, count in self._blocked.items())
            say(f"  identifiers that name nobody, left out of their rows: {told}")
        if self._appended and self._log is not None:
            say("the processors land them now: `beleg ledger` shows what is pending")
