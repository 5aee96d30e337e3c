"""The rows of `persons`, of whole components at a time.

An identifier has a row that says something where it belongs to another one's person. In a component
that is too large nobody does: each identifier is a person of its own, whatever else there is.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from processors.identity.component import Component, Identifier, components
from processors.identity.graph import Slice, resolve
from spine.store import Store


class PersonRow(NamedTuple):
    """Whose an identifier is; nobody's but its own without slices."""

    key: bytes
    identifier: Identifier
    slices: Sequence[Slice]


async def person_rows(
    store: Store, keys: Collection[bytes], own: Collection[bytes] = ()
) -> Sequence[PersonRow]:
    """Derive the rows of these identifiers and of all that are connected with them.

    Shape: `own` are the events that make them be derived. Where a component is too large by them,
    it falls into parts without them: those that were not too large lose their persons.
    Raises: Unavailable."""
    found = await components(store, keys)
    rows = await asyncio.to_thread(lambda: [row for one in found for row in _rows(one)])
    large = [one for one in found if not one.is_whole]
    if not large:
        return rows
    seeds = {key for one in large for key in one.identifiers if key in keys}
    parts = await components(store, seeds, own) if own else ()
    apart = {key: one.identifiers[key] for one in large for key in one.identifiers if key in seeds}
    apart |= {key: which for one in parts if one.is_whole for key, which in one.identifiers.items()}
    return [*rows, *(PersonRow(key, identifier, ()) for key, identifier in apart.items())]


def _rows(one: Component) -> Iterator[PersonRow]:
    if not one.is_whole:
        return
    slices = resolve(one.evidence, one.kinds).slices
    for key, identifier in one.identifiers.items():
        is_own = [each.person for each in slices[key]] == [key]
        yield PersonRow(key, identifier, () if is_own else slices[key])


def person_columns(rows: Sequence[PersonRow], token: int) -> Mapping[str, Sequence[Any]]:
    """Write rows as columns."""
    return {
        "visitor_id": [row.key for row in rows],
        "site": [row.identifier.site for row in rows],
        "identifier_type": [row.identifier.kind for row in rows],
        "intervals": [_intervals(row.slices) for row in rows],
        "version": [token] * len(rows),
    }


def _intervals(slices: Sequence[Slice]) -> Sequence[tuple[int | None, int | None, bytes]]:
    ends = [*(each.since_ms for each in slices[1:]), None]
    return [
        (each.since_ms, until_ms, each.person) for each, until_ms in zip(slices, ends, strict=False)
    ]
