"""A file of customers, as an operator's CRM exports it: what is compared, and whether it may be.

It is read and forgotten: nothing of it goes onto the log or into the store.
"""

import csv
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

NEEDED = ("crm_id", "consent")
"""The columns that every file has."""

LEAST_COMPARED = 3
"""How many columns there must be to compare: with fewer a match would be a namesake."""

LEAST_CUSTOMERS = 100
"""How many there must be: how common it is to be the same in a column is counted among them."""

_CONSENT = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class Customer(NamedTuple):
    """A customer who may be compared; what is not known is None.

    Shape: texts in small letters without accents; a phone is its last nine digits; a date of birth
    need be none of the calendar."""

    crm_id: str
    given_name: str | None = None
    surname: str | None = None
    birth_on: str | None = None
    street: str | None = None
    house_number: str | None = None
    postcode: str | None = None
    city: str | None = None
    email: str | None = None
    phone: str | None = None


COMPARED = Customer._fields[1:]
"""The columns that are compared, as many of them as there are."""


class Customers(NamedTuple):
    """The customers of a file who agreed, which columns it has of them, and how many did not."""

    agreed: Sequence[Customer]
    compared: Sequence[str]
    without_consent: int


class Fault(NamedTuple):
    """Why a file is not taken. Units: lines and columns from 1; 0 is the whole file."""

    line: int
    column: int
    why: str


def read_customers(data: bytes) -> Customers | Fault:
    """Read a file of customers, all of it or nothing; of who did not agree not even that is kept.

    Shape: CSV in UTF-8 with the columns `crm_id`, `consent` (yes or no) and at least three of
    `COMPARED`; no others, because what is not compared has no business here."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Fault(data[: error.start].count(b"\n") + 1, 0, "is not UTF-8")
    rows = csv.reader(text.splitlines(keepends=True), strict=True)
    try:
        head = [name.strip().lower() for name in next(rows, [])]
        return _fault_of_head(head) or _customers(head, _numbered(rows))
    except csv.Error as error:
        return Fault(rows.line_num, 0, f"is no CSV: {error}")


def _numbered(rows: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Give each row with the line on which it begins; empty lines are none."""
    line = 2
    for row in rows:
        if row:
            yield line, row
        line = rows.line_num + 1  # type: ignore[attr-defined]


def _fault_of_head(head: Sequence[str]) -> Fault | None:
    for number, name in enumerate(head, 1):
        if name not in (*NEEDED, *COMPARED):
            known = ", ".join((*NEEDED, *COMPARED))
            return Fault(1, number, f'"{name}" is not compared: leave it out; known are {known}')
        if name in head[: number - 1]:
            return Fault(1, number, f'"{name}" stands here twice')
    for name in NEEDED:
        if name not in head:
            return Fault(1, 0, f"has no column {name}")
    if len(head) - len(NEEDED) < LEAST_COMPARED:
        return Fault(1, 0, f"has fewer than {LEAST_COMPARED} of {', '.join(COMPARED)}")
    return None


def _customers(head: Sequence[str], rows: Iterator[tuple[int, list[str]]]) -> Customers | Fault:
    agreed: dict[str, Customer] = {}
    without = 0
    for line, row in rows:
        if len(row) != len(head):
            return Fault(line, 0, f"has {len(row)} cells, the head has {len(head)}")
        said = row[head.index("consent")].strip().lower()
        if said not in _CONSENT:
            return Fault(line, head.index("consent") + 1, f'consent is yes or no, not "{said}"')
        if not _CONSENT[said]:
            without += 1
            continue
        found = _customer(head, line, row)
        if isinstance(found, Fault):
            return found
        if found.crm_id in agreed:
            return Fault(line, head.index("crm_id") + 1, f'"{found.crm_id}" stands here twice')
        agreed[found.crm_id] = found
    return Customers(list(agreed.values()), [c for c in COMPARED if c in head], without)


def _customer(head: Sequence[str], line: int, row: Sequence[str]) -> Customer | Fault:
    cells = dict(zip(head, (cell.strip() for cell in row), strict=True))
    crm_id = cells["crm_id"]
    if not crm_id:
        return Fault(line, head.index("crm_id") + 1, "has no crm_id")
    born = cells.get("birth_on")
    if born and not _DAY.fullmatch(born):
        return Fault(line, head.index("birth_on") + 1, f'"{born}" is not YYYY-MM-DD')
    return Customer(crm_id, *(_form(column, cells.get(column, "")) for column in COMPARED))


def _form(column: str, cell: str) -> str | None:
    """Write a cell in the form in which it is compared."""
    if column == "phone":
        return "".join(letter for letter in cell if letter.isdecimal())[-9:] or None
    apart = unicodedata.normalize("NFKD", cell.casefold())
    return " ".join("".join(c for c in apart if not unicodedata.combining(c)).split()) or None
