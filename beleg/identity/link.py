"""Which rows of a CRM's file may become evidence. Pure but for the clock of receipt.

A row is admitted as an event of a server is, and goes onto the log only where it is evidence: what
connects nothing leaves no trace.
"""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from beleg.identity.file import Row
from collector.admission import Result
from collector.admit import admit
from collector.decode import Claims
from collector.known import Known
from collector.observe import Receipt
from collector.source import Source
from processors.evidence import identifiers_of
from spine.log import Entry
from spine.record import EventRecord, decode, encode

_DAY_MS = 86_400_000


class Link(NamedTuple):
    """Evidence that may go onto the log; its first identifier is connected with `links` others.

    Shape: `retention` is the class of how long it stays. Units: `day` since 1970, UTC."""

    identity: bytes
    entry: Entry
    links: int
    retention: str
    day: int


class Left(NamedTuple):
    """A row that does not go onto the log.

    Shape: `why` is a code of `spine.codes`, or a word for what is no fault of anybody; `detail`
    is there where the row itself is wrong."""

    why: str
    detail: str = ""


def judge(rows: Sequence[Row], source: Source, known: Known) -> Iterator[Link | Left]:
    """Say of each row whether it may go onto the log."""
    receipt = Receipt(time.time_ns() // 1_000_000, "", "")
    admission = admit(Claims([row.event for row in rows], None), receipt, source, known=known)
    admitted = iter(admission.admitted)
    for row, result in zip(rows, admission.results, strict=True):
        if result.status == "accepted":
            yield _evidence(row, next(admitted))
        else:
            yield _left(result)


def _left(result: Result) -> Left:
    code = result.code or result.status
    if result.status == "refused" and code != "too_old":  # age is the row's, not a mistake
        return Left(code, (result.detail or code).partition(" - at ")[0])
    return Left(code)


def _evidence(row: Row, entry: Entry) -> Link | Left:
    record = decode(entry.value)
    assert isinstance(record, EventRecord)  # noqa: S101 - it was written as one just now
    if not record.stamp.linked:
        return Left("no_consent")
    named = identifiers_of(record)
    if not named:
        return Left("alone")
    flags = (*record.flags, *(["identifier_blocked"] if row.blocked else []), "imported")
    record = msgspec.structs.replace(record, flags=flags)
    return Link(
        bytes.fromhex(record.identity),
        Entry(entry.key, encode(record)),
        len(named) - 1,
        record.stamp.retention,
        record.occurred_ms // _DAY_MS,
    )
