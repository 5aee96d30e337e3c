"""A file of the shop's CRM: in each row identifiers of one customer, and their consent. Pure.

Invariants:

1. Every line that is not blank belongs to a row, or to a fault that names line and column.
2. An identifier that names nobody is left out of its row, and told of by its column.
3. A row has an id made of what it says, not of when or where it is read: the same row is the same
   event. Of an e-mail or a phone only the hash takes part.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from collector.decode import Claim, Unreadable, decode
from collector.naming import Told, hashed
from spine.blocked import names_nobody
from spine.codes import Refused
from spine.digest import filled_id
from spine.event import UNDECIDED, ConsentClaim, Event
from spine.normal_form import email_sha256, phone_sha256

NAME = "identify"
"""How the event of a row is called."""

IDENTIFIERS = (
    "user_id", "crm_id", "email", "email_sha256", "phone", "phone_sha256", "anonymous_id",
)  # fmt: skip
"""The columns that say who somebody is."""

MOST_LINE_BYTES = 65_536
_PLAIN = {"email": email_sha256, "phone": phone_sha256}
_TOLD = ("email", "email_sha256", "phone", "phone_sha256", "crm_id")
_CONSENT = "consent_"
_TIMES = ("at", "consent_at")
_WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)?)?")
_TOO_LONG = "\ud800"
_NO_TEXT = re.compile("[\ud800\udc80-\udcff]")
_encoder = msgspec.json.Encoder()


class Fault(NamedTuple):
    """Why a file is not taken.

    Shape: `column` is a name, or a number where it has none. Units: lines and columns from 1."""

    line: int
    column: str
    why: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.why}"


class Row(NamedTuple):
    """Identifiers of one customer, as an event that is not believed yet.

    Shape: `blocked` are the columns whose identifier names nobody; it is not in the event."""

    line: int
    event: Event
    blocked: Sequence[str]


class Expected(NamedTuple):
    """What rows are read by: their site, its time zone and the purposes of its rules; `at` is the
    time of rows that tell none."""

    site: str
    zone: ZoneInfo
    purposes: frozenset[str]
    at: datetime | None


class _Bad(NamedTuple):
    column: str
    why: str


def time_of(text: str, zone: ZoneInfo) -> datetime | None:
    """Read a time, or a day for its beginning, in the site's time zone where it names none."""
    try:
        found = datetime.fromisoformat(text) if _TIME.fullmatch(text) else None
        if found is None:
            return None
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def read_rows(lines: Iterable[bytes], expected: Expected) -> Iterator[Row | Fault]:
    """Read CSV in UTF-8, with or without a byte order mark. The head names the columns; they are
    parted by semicolons where it has one, else by commas. A fault of the head ends it."""
    given = map(_text, lines)
    first = next(given, "").removeprefix("\ufeff")
    rows = csv.reader(chain([first], given), delimiter=";" if ";" in first else ",", strict=True)
    columns: Sequence[str] | None = None
    while True:
        line = rows.line_num + 1
        try:
            cells = next(rows, None)
        except csv.Error as error:
            yield Fault(line, "1", f"is no CSV: {error}")
            return
        if columns is None:
            columns = [name.strip() for name in cells or ()]
            if faults := [*_faults_of_head(columns, expected)]:
                yield from faults
                return
        elif cells is None:
            return
        elif any(cells):
            yield _row(line, columns, [cell.strip() for cell in cells], expected)


def _text(line: bytes) -> str:
    """Decode a line; what is no UTF-8 becomes half characters, which are looked for later."""
    if len(line) > MOST_LINE_BYTES:
        return f"{_TOO_LONG}\n"
    return line.decode("utf-8", "surrogateescape")


def _faults_of_head(columns: Sequence[str], expected: Expected) -> Iterator[Fault]:
    purposes = sorted(expected.purposes)
    known = ("at", *IDENTIFIERS, "consent_at", *(_CONSENT + purpose for purpose in purposes))
    for nth, name in enumerate(columns, 1):
        if _NO_TEXT.search(name) or "\0" in name:
            yield Fault(1, str(nth), _no_text(name))
            return
        if name not in known:
            yield Fault(1, str(nth), f'"{name}" is none of {", ".join(known)}')
        elif name in columns[: nth - 1]:
            yield Fault(1, str(nth), f'"{name}" stands there twice')
    if len({name.removesuffix("_sha256") for name in columns if name in IDENTIFIERS}) < 2:
        yield Fault(1, "1", f"connects nothing without two of {', '.join(IDENTIFIERS)}")
    elif "at" not in columns and expected.at is None:
        yield Fault(1, "1", 'needs "at", when the CRM knew it, or give one time for all with --at')


def _row(
    line: int, columns: Sequence[str], cells: Sequence[str], expected: Expected
) -> Row | Fault:
    for nth, cell in enumerate(cells):
        if _NO_TEXT.search(cell):
            name = columns[nth] if nth < len(columns) else str(nth + 1)
            return Fault(line, name, _no_text(cell))
    if len(cells) != len(columns):
        why = f"has {len(cells)} cells, and the head has {len(columns)}"
        return Fault(line, str(min(len(cells), len(columns)) + 1), why)
    told = {name: cell for name, cell in zip(columns, cells, strict=True) if cell}
    blocked = [name for name in IDENTIFIERS if name in told and _names_nobody(name, told[name])]
    claim = _claim({name: told[name] for name in told if name not in blocked}, expected)
    if isinstance(claim, _Bad):
        return Fault(line, *claim)
    event = _within_limits(claim, expected.site)
    return Fault(line, *event) if isinstance(event, _Bad) else Row(line, event, blocked)


def _no_text(cell: str) -> str:
    if _TOO_LONG in cell:
        return f"stands in a line of more than {MOST_LINE_BYTES:,} bytes"
    return "is no UTF-8"


def _names_nobody(column: str, text: str) -> bool:
    if column in _PLAIN:
        form = _PLAIN[column](text)
        return form is None or names_nobody(form)
    return names_nobody(text)


def _claim(told: Mapping[str, str], expected: Expected) -> Claim | _Bad:
    times = {name: time_of(told[name], expected.zone) for name in _TIMES if name in told}
    for name, found in times.items():
        if found is None:
            why = f'"{told[name]}" is no time like 2026-11-20 or 2026-11-20T10:00:00+01:00'
            return _Bad(name, why)
    at = times.get("at", expected.at)
    if at is None:
        return _Bad("at", "is empty, and there is no --at")
    purposes: dict[str, bool] = {}
    for name, word in told.items():
        if name.startswith(_CONSENT) and name not in _TIMES:
            if word.lower() not in _WORDS:
                return _Bad(name, f'"{word}" is neither true nor false, and not empty')
            purposes[name.removeprefix(_CONSENT)] = _WORDS[word.lower()]
    who = {name: _hash(name, told[name]) for name in _TOLD if name in told}
    consent = ConsentClaim(purposes=purposes, decided_at=times.get("consent_at"))
    return Claim(
        name=NAME,
        occurred_at=at,
        anonymous_id=told.get("anonymous_id"),
        user_id=told.get("user_id"),
        identifiers=Told(**who) if who else None,
        consent=msgspec.Raw(_encoder.encode(consent)) if purposes else UNDECIDED,
    )


def _hash(column: str, text: str) -> str:
    return text.lower() if column.endswith("_sha256") else text


def _within_limits(claim: Claim, site: str) -> Event | _Bad:
    """Give the event as a collector would read it, with the id of what it says."""
    claims = decode(_encoder.encode(claim), 1)
    assert not isinstance(claims, Unreadable)  # noqa: S101 - it is JSON that was just written
    (event,) = claims.events
    if isinstance(event, Refused):
        return _Bad(event.path.rpartition(".")[2], event.detail)
    body = msgspec.structs.replace(hashed(event)[0], consent=UNDECIDED)
    return msgspec.structs.replace(event, event_id=filled_id(site, _encoder.encode(body)))
