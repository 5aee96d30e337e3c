"""`beleg identity probable`: who of a CRM is probably one person; told, and never joined."""

import csv
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

import click

from beleg.commands import opened_books
from reports.crm_file import LEAST_CUSTOMERS, Customers, Fault, read_customers
from spine.digest import identifier_id
from spine.erasure_key import key_of
from spine.errors import Misconfigured
from spine.runtime import run_to_end
from spine.settings import Settings
from spine.store import Store, packed

if TYPE_CHECKING:
    from reports.probable import Pair

_ASKED_AT_ONCE = 10_000
_HEAD = (
    "crm_id", "other_crm_id", "probability", "alike", "unlike", "person_id", "other_person_id",
    "guard",
)  # fmt: skip


class Known(NamedTuple):
    """What the store knows of customers, by digest.

    Shape: `persons` are of those about whom there is evidence, `users` those of them that have a
    user id, `erased` who was erased, ever."""

    persons: dict[bytes, bytes]
    users: set[bytes]
    erased: set[bytes]

    def are_one(self, key: bytes, other: bytes) -> bool:
        """Say whether evidence has joined these two."""
        return key in self.persons and self.persons[key] == self.persons.get(other)


@click.command()
@click.option("--site", required=True, help="The site that knows them.")
@click.option(
    "--least",
    type=click.FloatRange(0.5, 1),
    default=0.95,
    show_default=True,
    help="Leave out what is less probable.",
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def probable(settings: Callable[[], Settings], site: str, least: float, file: Path) -> None:
    """Say which customers of a CRM are probably one person.

    FILE is CSV: crm_id, consent (yes or no: may this customer's data be compared?) and at least
    three of given_name, surname, birth_on, street, house_number, postcode, city, email, phone. Who
    did not agree and who was erased is not looked at. Nothing of it is stored, nobody is joined:
    what a person finds right is told to the CRM, and comes from there as evidence.

    Prints CSV, the likeliest pair first; Splink compares: pip install 'beleg[match]'. Exit 2 names
    line and column of what is wrong in FILE.
    """
    matching = _matching()
    run_to_end(_tell(settings(), site, file, lambda customers: matching(customers, least)))


def _matching() -> "Callable[[Customers, float], Sequence[Pair]]":
    try:
        from reports.probable import probable_pairs  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise Misconfigured(
            "identity probable", f"{error.name} is not installed: pip install 'beleg[match]'"
        ) from error
    return probable_pairs


def _read(file: Path) -> Customers:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise Misconfigured(str(file), f"cannot be read: {error.strerror}") from error
    found = read_customers(data)
    if isinstance(found, Fault):
        where = f"line {found.line}" + (f", column {found.column}" if found.column else "")
        raise Misconfigured(str(file), f"{where}: {found.why}")
    return found


async def _tell(
    settings: Settings,
    site: str,
    file: Path,
    matching: "Callable[[Customers], Sequence[Pair]]",
) -> None:
    customers = _read(file)
    if site not in settings.sites:
        raise Misconfigured("--site", f"there is no sites.{site} in the settings")
    keys = {one.crm_id: identifier_id(site, "crm_id", one.crm_id) for one in customers.agreed}
    async with opened_books(settings) as store:
        await store.check_version()
        known = await _known(store, settings, list(keys.values()))
    left = [one for one in customers.agreed if keys[one.crm_id] not in known.erased]
    if len(left) < LEAST_CUSTOMERS:
        raise Misconfigured(
            str(file),
            f"{len(left)} customers may be compared; of fewer than {LEAST_CUSTOMERS} it cannot be"
            " counted how much it says that two are the same in something",
        )
    pairs = matching(customers._replace(agreed=left))
    apart = [
        pair for pair in pairs if not known.are_one(keys[pair.crm_id], keys[pair.other_crm_id])
    ]
    _print(sys.stdout, apart, keys, known)
    click.echo(
        f"{len(left):,} customers compared, {customers.without_consent:,} without consent and"
        f" {len(customers.agreed) - len(left):,} erased not looked at; {len(apart):,} pairs,"
        f" {len(pairs) - len(apart):,} more are one person already",
        err=True,
    )


async def _known(store: Store, settings: Settings, keys: Sequence[bytes]) -> Known:
    known = Known({}, set(), set())
    secret = key_of(settings.erasure, Path(settings.data_dir), makes=False)
    for some in _pieces(keys):
        known.persons.update(await _persons(store, some))
        if secret is not None:
            marks = {secret.mark(key): key for key in some}
            rows = await store.select(
                f"SELECT DISTINCT mark FROM erasure_marks WHERE mark IN {packed(marks)}"
            )
            known.erased.update(marks[bytes(mark)] for (mark,) in rows)
    for some in _pieces(list(known.persons.values())):
        rows = await store.select(
            "SELECT DISTINCT key FROM identity_evidence"
            f" WHERE key IN {packed(some)} AND key_type = 'user_id'"
        )
        known.users.update(bytes(key) for (key,) in rows)
    return known


def _pieces(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (keys[at : at + _ASKED_AT_ONCE] for at in range(0, len(keys), _ASKED_AT_ONCE))


async def _persons(store: Store, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
    """Give whose these are, of those about whom there is evidence."""
    here = packed(keys)
    rows = await store.select(
        "SELECT e.key, if(p.person_key = toFixedString('', 16), e.key, p.person_key)"
        f" FROM (SELECT DISTINCT key FROM identity_evidence WHERE key IN {here}) AS e"
        " LEFT ANY JOIN (SELECT visitor_key, person_key FROM person_slices"
        f" WHERE visitor_key IN {here}) AS p ON e.key = p.visitor_key"
    )
    return {bytes(key): bytes(person) for key, person in rows}


def _print(out: TextIO, pairs: "Sequence[Pair]", keys: Mapping[str, bytes], known: Known) -> None:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_HEAD)
    for pair in pairs:
        persons = [known.persons.get(keys[one]) for one in (pair.crm_id, pair.other_crm_id)]
        writer.writerow(
            (
                pair.crm_id,
                pair.other_crm_id,
                f"{pair.probability:.4f}",
                " ".join(pair.alike),
                " ".join(pair.unlike),
                *(person.hex() if person else "" for person in persons),
                "two_users" if all(person in known.users for person in persons) else "",
            )
        )
