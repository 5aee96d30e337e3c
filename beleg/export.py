"""`beleg export`: give a person what is stored of it, as JSON."""

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import click
import msgspec

from beleg.commands import opened_books
from consent_rules.regime import Keeping
from consent_rules.regions import load_all
from processors.access import Whose, parts, whose
from spine.errors import Misconfigured
from spine.settings import Settings
from spine.store import Store

PARTS = ("identifiers", "events", "sessions", "orders", "conversions", "consent", "splits")
"""The parts of an export, in their order."""


async def export(
    settings: Settings, site: str, identifier: tuple[str, str], file: Path | None
) -> int:
    """Write all that is stored of a person; give 0, or 1 when nobody is known by that name."""
    if site not in settings.sites:
        raise Misconfigured("--site", f'"{site}" is not in the settings')
    chosen = settings.sites[site]
    keepings = load_all(site, chosen.consent, chosen.regions).keepings
    async with opened_books(settings) as store:
        await store.check_version()
        person = await whose(store, site, *identifier)
        if person is None:
            click.echo(f"nothing is stored of {identifier[0]} {identifier[1]}", err=True)
            return 1
        if file is None:
            await write(store, person, keepings, identifier, sys.stdout)
        else:
            with _private(file) as stream:
                await write(store, person, keepings, identifier, stream)
    return 0


def _private(file: Path) -> TextIO:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Misconfigured(str(file), f"cannot be written: {error.strerror}") from error
    return os.fdopen(descriptor, "w", encoding="utf-8")


async def write(
    store: Store,
    person: Whose,
    keepings: Mapping[str, Keeping],
    identifier: tuple[str, str],
    stream: TextIO,
) -> None:
    """Write one JSON object, row by row. Raises: Unavailable; the object is not whole then."""
    head = {
        "site": person.site,
        "asked_for": {"kind": identifier[0], "identifier": identifier[1]},
        "made_at": datetime.now(UTC),
        "retention": keepings,
    }
    stream.write(_json(head)[:-1])
    written, separator = -1, ""
    async for part, row in parts(store, person, keepings):
        while PARTS[written] != part or written < 0:
            written += 1
            stream.write(f'{"]" if written else ""},\n"{PARTS[written]}": [')
            separator = "\n"
        stream.write(separator + _json(row))
        separator = ",\n"
    for part in PARTS[written + 1 :]:
        written += 1
        stream.write(f'{"]" if written else ""},\n"{part}": [')
    stream.write("]}\n")


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
