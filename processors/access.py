"""What is stored of one person, for that person: GDPR Art. 15 and 20. Only reads.

Who the person is, is derived (decision 0042), and what may be somebody else's is left out: an event
on which another user stands, also on the person's own device; the device of an event that belongs
to another person; an order that somebody else reports, too.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from consent_rules.regime import Keeping
from processors.identity.person import KEYS, SENT, subjects_of, theirs
from spine.digest import identifier_id
from spine.event import ORDER_NAMES
from spine.store import Store, packed

_NOBODY = "toFixedString('', 16)"
_AS_SENT = (
    "name", "event_id", "channel", "occurred_at", "received_at", "anonymous_id", "user_id",
    "email_sha256", "phone_sha256", "crm_id", "page_url", "page_referrer", "page_title", "ip",
    "user_agent", "place", "device", "browser", "browser_version", "os", "bot", "source", "medium",
    "campaign", "term", "content", "channel_group", "click_id_name", "click_id", "transaction_id",
    "currency", "value", "tax", "shipping", "discount", "coupon", "items", "properties",
)  # fmt: skip
_DECIDED = (
    "consent_kept", "consent_rule", "consent_version", "consent_purposes", "consent_denied",
    "consent_signals", "consent_signal", "consent_exports", "retention",
)  # fmt: skip
_SESSION = (
    "session_id", "started_at", "ended_at", "events", "page_views", "engaged", "channel_group",
    "source", "medium", "campaign", "landing_page",
    "device", "country", "region",
)  # fmt: skip
_ORDER = (
    "transaction_id", "ordered_at", "currency", "gross", "refunded", "net", "tax", "shipping",
    "status", "verified",
)  # fmt: skip
_CONVERSION = ("conversion_id", "kind", "occurred_at", "value", "currency", "verified")
_CONSENT = (
    "kind", "received_at", "decided_at", "told_by", "action", "granted", "denied", "text_version",
    "rules_version", "signal", "until_at",
)  # fmt: skip


class Whose(NamedTuple):
    """A person of a site, by the digests of its identifiers, and the conditions of what is its."""

    site: str
    subjects: frozenset[bytes]

    @property
    def events(self) -> str:
        """The condition that an event is this person's, and nobody else's."""
        others = f"user_key != {_NOBODY} AND user_key NOT IN {packed(self.subjects)}"
        return f"site = '{self.site}' AND {theirs(self.subjects)} AND NOT ({others})"

    @property
    def hexes(self) -> str:
        """The identifiers as views show them."""
        return ", ".join(f"'{subject.hex()}'" for subject in sorted(self.subjects))


Part = tuple[str, Mapping[str, Any]]
"""A row, and the part of the answer that it belongs to."""


async def whose(store: Store, site: str, kind: Any, value: str) -> Whose | None:
    """Say whom an identifier names; None when nothing is stored of anybody by that name.
    Raises: Unavailable."""
    found = Whose(site, await subjects_of(store, site, kind, value))
    ((known,),) = await store.select(
        f"SELECT (SELECT count() FROM events WHERE {found.events})"
        f" + (SELECT count() FROM v_consent_log WHERE site = '{site}'"
        f" AND subject_id IN ({found.hexes}))"
    )
    return found if known else None


async def parts(
    store: Store, person: Whose, keepings: Mapping[str, Keeping]
) -> AsyncIterator[Part]:
    """Give all that is stored of a person, part by part, each in the order of time.

    A day's events are held at once, and each other part. Raises: Unavailable."""
    mine = f"visitor_id IN {packed(person.subjects)}"
    identifiers = " UNION ALL ".join(
        f"SELECT DISTINCT '{kind}', assumeNotNull({kind}) FROM events"
        f" WHERE {person.events} AND isNotNull({kind}) AND {key} IN {packed(person.subjects)}"
        for kind, key in zip(SENT, KEYS, strict=True)
    )
    named = sorted(await store.select(identifiers))
    for kind, identifier in named:
        yield "identifiers", {"kind": kind, "identifier": identifier}
    async for event in _events(store, person, mine, keepings):
        yield "events", event
    for part, columns, source in _views(person, await _orders(store, person)):
        for row in await store.select(f"SELECT {', '.join(columns)} FROM {source}, {columns[0]}"):
            yield part, dict(zip(columns, map(_told, row), strict=True))
    names = {identifier_id(person.site, *one): one for one in named}
    async for told in _splits(store, person, names):
        yield "splits", told


def _views(person: Whose, orders: Sequence[str]) -> Sequence[tuple[str, Sequence[str], str]]:
    site = f"site = '{person.site}'"
    here = f"person_id IN ({person.hexes})"  # of a shared device what began in the person's turn
    ordered = ", ".join(f"unhex('{one.encode().hex()}')" for one in orders) or "NULL"
    converted = f"(kind = 'order' AND conversion_id IN ({ordered}) OR kind != 'order' AND {here})"
    return [
        ("sessions", _SESSION, f"v_sessions WHERE {site} AND {here} ORDER BY started_at"),
        (
            "orders", _ORDER,
            f"v_orders WHERE {site} AND transaction_id IN ({ordered}) ORDER BY ordered_at",
        ),
        (
            "conversions", _CONVERSION,
            f"v_conversions WHERE {site} AND {converted} ORDER BY occurred_at",
        ),
        (
            "consent", _CONSENT,
            f"v_consent_log WHERE {site} AND subject_id IN ({person.hexes}) ORDER BY received_at",
        ),
    ]  # fmt: skip


def _told(value: Any) -> Any:
    """Give an instant with its zone, and all else as it is."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


async def _events(
    store: Store, person: Whose, mine: str, keepings: Mapping[str, Keeping]
) -> AsyncIterator[Mapping[str, Any]]:
    days = await store.select(
        f"SELECT DISTINCT toUInt16(toDate(occurred_at)) AS day FROM events WHERE {person.events}"
        " ORDER BY day"
    )
    columns = (*_AS_SENT, *_DECIDED)
    selected = ", ".join("toString(channel)" if one == "channel" else one for one in columns)
    for (day,) in days:
        rows = await store.select(
            f"SELECT {selected}, {mine} FROM events FINAL WHERE {person.events}"
            f" AND toDate(occurred_at) = toDate({day}) ORDER BY occurred_at, identity"
        )
        for *row, is_mine in rows:
            event = dict(zip(columns, map(_told, row), strict=True))
            if not is_mine:
                event["anonymous_id"] = None
            for name in ("items", "properties"):
                event[name] = msgspec.Raw(event[name].encode()) if event[name] else None
            keeping = keepings.get(event["retention"])
            event["kept_until"] = (
                keeping and (event["occurred_at"] + timedelta(days=keeping.days)).date()
            )
            yield event


async def _splits(
    store: Store, person: Whose, names: Mapping[bytes, tuple[str, str]]
) -> AsyncIterator[Mapping[str, Any]]:
    """Give the splits that name the person's identifiers; what it was split from, only where that
    is the person's, too."""
    rows = await store.select(
        "SELECT key, other_key, split_at, why, is_undone FROM identity_splits FINAL"
        f" WHERE key IN {packed(person.subjects)}"
        f" AND (other_key NOT IN {packed(person.subjects)} OR key < other_key)"
        " ORDER BY split_at, key, other_key"
    )
    for key, other, split_at, why, is_undone in rows:
        kind, identifier = names.get(bytes(key), (None, None))
        from_kind, from_identifier = names.get(bytes(other), (None, None))
        yield {
            "kind": kind,
            "identifier": identifier,
            "from_kind": from_kind,
            "from_identifier": from_identifier,
            "split_at": _told(split_at),
            "why": why,
            "is_undone": bool(is_undone),
        }


async def _orders(store: Store, person: Whose) -> Sequence[str]:
    """Give the orders that the person reports, and nobody else."""
    named = f"(visitor_id != {_NOBODY} OR user_key != {_NOBODY})"
    rows = await store.select(
        f"SELECT transaction_id FROM events WHERE site = '{person.site}'"
        f" AND isNotNull(transaction_id) AND name IN {tuple(sorted(ORDER_NAMES))}"
        f" GROUP BY transaction_id HAVING countIf({person.events}) > 0"
        f" AND countIf({named} AND NOT ({person.events})) = 0 ORDER BY transaction_id"
    )
    return [transaction_id for (transaction_id,) in rows]
