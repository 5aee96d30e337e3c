"""Admit events: what the client claims, what the server observed, what the rules allow → records.

Pure, and the heart of the collector: nothing that is not returned from here reaches the log.
"""

import math
import os
from functools import lru_cache

import msgspec

from collector.admission import Admission, Outcome, Result
from collector.decode import Claims
from collector.known import NOTHING_KNOWN, Known
from collector.naming import further, hashed, names_no_one, refused
from collector.observe import Receipt, truncated
from collector.source import Source
from collector.times import day_of, milliseconds
from collector.written import Form, begun, form, observed
from consent_rules.decide import Dropped, Kept, decide
from consent_rules.regime import Rules
from consent_rules.standing import NOTHING, Carried
from spine import digest
from spine.codes import Refused
from spine.control.withdrawal import ALL, Withdrawn
from spine.control.withdrawal import NOTHING as NOT_WITHDRAWN
from spine.event import KNOWN_NAMES, Event
from spine.log import Entry
from spine.money import with_currency

BROWSER_MAX_AGE_MS = 7 * 86_400_000
SERVER_MAX_AGE_MS = 3_653 * 86_400_000
SERVER_CLOCK_LEEWAY_MS = 300_000
MAX_RECORD_BYTES = 262_144
_ROOM_BYTES = 2_048
_UNREADABLE = "consent_unreadable: what was said of consent cannot all be read"
_encoder = msgspec.json.Encoder()


class _Arrival(msgspec.Struct, frozen=True):
    """What the events of a request have in common.

    Units: `ahead_ms` is how far the sender's clock runs ahead of ours; no event may be claimed to
    be older than `earliest_ms` or newer than `latest_ms`. Shape: `seen` is what a record has of the
    receipt, where all of it may stay; `room` is where an event is encoded: what is made anew for
    each grows in many steps."""

    receipt: Receipt
    source: Source
    ahead_ms: int
    earliest_ms: int
    latest_ms: float
    form: Form
    rules: Rules
    carried: Carried
    known: Known
    seen: bytes | None
    room: bytearray


def admit(
    claims: Claims,
    receipt: Receipt,
    source: Source,
    carried: Carried = NOTHING,
    known: Known = NOTHING_KNOWN,
) -> Admission:
    """Decide about every event on its own; one bad event never fails its neighbours.

    Shape: `carried` is what the request says of consent; it is said of every event in it."""
    arrival = _arrival(claims, receipt, source, carried, known)
    admission = Admission([], [], [])
    for claim in claims.events:
        result, outcome = _admit(claim, arrival, admission.admitted)
        admission.results.append(result)
        admission.outcomes.append(outcome)
    return admission


def _arrival(
    claims: Claims, receipt: Receipt, source: Source, carried: Carried, known: Known
) -> _Arrival:
    received_ms, ahead_ms = receipt.received_ms, 0
    country, seen = "", None  # where a shop's own server stands, says nothing of its visitor
    if source.channel == "browser":
        country, agent = receipt.country, receipt.user_agent
        seen = observed((), receipt.ip, agent, receipt.client_hints, receipt.place)
        earliest_ms, latest_ms = received_ms - BROWSER_MAX_AGE_MS, math.inf
        if claims.sent_at is not None:
            ahead_ms = milliseconds(claims.sent_at) - received_ms
    else:
        earliest_ms = received_ms - SERVER_MAX_AGE_MS
        latest_ms = received_ms + SERVER_CLOCK_LEEWAY_MS
    shared = form(source.site, source.channel, received_ms, day_of(received_ms, source))
    return _Arrival(
        receipt,
        source,
        ahead_ms,
        max(earliest_ms, 0),
        latest_ms,
        shared,
        source.regimes.of(country),
        carried,
        known,
        seen,
        bytearray(_ROOM_BYTES),
    )


def needs_consent(claims: Claims, receipt: Receipt, source: Source, carried: Carried) -> bool:
    """Say whether some event would not be kept, or not as it is, if everything was withdrawn."""
    arrival = _arrival(claims, receipt, source, carried, NOTHING_KNOWN)
    for claim in claims.events:
        if isinstance(claim, Refused):
            continue
        claimed_ms = _claimed_ms(claim, arrival)
        if isinstance(claimed_ms, Refused):
            continue
        kept, bare = (_decide(claim, claimed_ms, arrival, of) for of in (NOT_WITHDRAWN, ALL))
        if isinstance(kept, Dropped):
            continue
        if isinstance(bare, Dropped) or _what_stays(kept) != _what_stays(bare):
            return True
    return False


def _what_stays(kept: Kept) -> tuple[object, ...]:
    return kept.event, kept.limits, kept.stamp.linked, kept.stamp.exports


def _decide(
    claim: Event, claimed_ms: int, arrival: _Arrival, withdrawn: Withdrawn
) -> Kept | Dropped:
    received_ms = arrival.receipt.received_ms
    happened_ms = claimed_ms if claimed_ms < received_ms else received_ms
    return decide(arrival.rules, claim, arrival.carried, happened_ms, withdrawn)


def _admit(
    claim: Event | Refused, arrival: _Arrival, admitted: list[Entry]
) -> tuple[Result, Outcome]:
    if isinstance(claim, Refused):
        return _refused(claim.event_id, "(unreadable)", claim)
    source = arrival.source
    may_not = _may_not(claim, source)
    claim, spoiled = hashed(claim)
    claimed_ms = may_not or _claimed_ms(claim, arrival)
    if isinstance(claimed_ms, Refused):
        return _refused(claim.event_id, _known(claim), claimed_ms)
    known, device, user = arrival.known, claim.anonymous_id, claim.user_id
    until_ms = known.erased_until(source.site, device, user, further(claim))
    if min(claimed_ms, arrival.receipt.received_ms) <= until_ms:
        outcome = Outcome("dropped", "erased", _known(claim))
        return Result(claim.event_id, "dropped", "erased", None), outcome
    withdrawn = known.withdrawn(source.site, device, user)
    decision = _decide(claim, claimed_ms, arrival, withdrawn)
    if isinstance(decision, Dropped):
        detail = None if decision.readable else _UNREADABLE
        code = "no_consent"
        if withdrawn is not NOT_WITHDRAWN and isinstance(
            _decide(claim, claimed_ms, arrival, NOT_WITHDRAWN), Kept
        ):
            code = "withdrawn"
        return (
            Result(claim.event_id, "dropped", code, detail),
            Outcome("dropped", code, _known(claim), decision.rule, "dropped"),
        )
    of_day = _visitor_of_day(claim, arrival) if decision.ruling.by_day else None
    event_id, entry = _entry(decision, claimed_ms, arrival, of_day, spoiled=spoiled)
    if len(entry.value) > MAX_RECORD_BYTES:
        why = Refused("too_long", "$", f"An event may have {MAX_RECORD_BYTES} bytes in all")
        return _refused(claim.event_id, _known(claim), why)
    admitted.append(entry)
    filled = None if claim.event_id is not None else "event_id_filled"
    stamp = decision.ruling.stamp
    outcome = _accepted(stamp.rule, stamp.kept, filled or "")
    detail = None if decision.ruling.readable else _UNREADABLE
    return Result(event_id, "accepted", filled, detail), outcome


@lru_cache(maxsize=512)  # there are few rules
def _accepted(rule: str, kept: str, code: str) -> Outcome:
    return Outcome("accepted", code, "", rule, kept)


def _known(event: Event) -> str:
    return event.name if event.name in KNOWN_NAMES else "(custom)"


def _refused(event_id: str | None, name: str, why: Refused) -> tuple[Result, Outcome]:
    detail = f"{why.detail} - at {why.path}"
    return Result(event_id, "refused", why.code, detail), Outcome("refused", why.code, name)


def _may_not(event: Event, source: Source) -> Refused | None:
    if source.channel == "server":
        if event.event_id is None:
            return Refused("missing_field", "$.event_id", "A server key must send it")
        if event.occurred_at is None:
            return Refused("missing_field", "$.occurred_at", "A server key must send it")
        return None
    if event.ip is not None:
        return Refused("not_allowed", "$.ip", "Only a server key may say this")
    if event.user_agent is not None:
        return Refused("not_allowed", "$.user_agent", "Only a server key may say this")
    return refused(event)


def _claimed_ms(event: Event, arrival: _Arrival) -> int | Refused:
    """Give the time of an event by our clock; of a browser's it may lie in the future.

    A browser's clock is corrected by when it says it sent the batch, and never runs ahead of ours;
    a server's clock is believed."""
    if event.occurred_at is None:
        return arrival.receipt.received_ms
    claimed_ms = milliseconds(event.occurred_at) - arrival.ahead_ms
    if arrival.earliest_ms <= claimed_ms <= arrival.latest_ms:
        return claimed_ms
    if claimed_ms > arrival.latest_ms:
        return Refused("in_future", "$.occurred_at", "The time has not come yet")
    max_age_ms = BROWSER_MAX_AGE_MS if arrival.source.channel == "browser" else SERVER_MAX_AGE_MS
    days = max_age_ms // 86_400_000
    return Refused("too_old", "$.occurred_at", f"This key may go back {days} days")


def _visitor_of_day(claim: Event, arrival: _Arrival) -> bytes | None:
    """Name the visitor for the day of receipt, where there is a salt, and something to tell by.

    Late events, too, get the id of the day they come: the salt of theirs may be gone."""
    receipt, source = arrival.receipt, arrival.source
    ip, agent = receipt.ip, receipt.user_agent
    if source.channel == "server":  # its own address says nothing about the visitor
        ip, agent = truncated(claim.ip or ""), claim.user_agent or ""
    salt = arrival.known.salt
    if salt is None or not ip:
        return None
    return digest.visitor_of_day(salt, source.site, ip, agent)


def _entry(
    kept: Kept, claimed_ms: int, arrival: _Arrival, of_day: bytes | None, *, spoiled: bool
) -> tuple[str, Entry]:
    """Encode what may be kept; give it with the event's id."""
    receipt, source = arrival.receipt, arrival.source
    event, ruling, received_ms = kept.event, kept.ruling, receipt.received_ms
    flags: tuple[str, ...] = () if ruling.readable else ("consent_unreadable",)
    if event.commerce is not None:
        event, currency_filled = with_currency(event, source.currency)
        if currency_filled:
            flags = (*flags, "currency_filled")
    if claimed_ms > received_ms:
        claimed_ms, flags = received_ms, (*flags, "time_clamped")
    if spoiled or names_no_one(event):
        flags = (*flags, "identifier_blocked")
    bare = msgspec.structs.replace(event, ip=None, user_agent=None, event_id=None)
    _encoder.encode_into(bare, arrival.room)
    body = bytes(arrival.room)
    event_id = event.event_id or _filled_id(event, body, receipt, source)
    key, beginning = begun(arrival.form, event, event_id, body, claimed_ms, of_day)
    if flags or arrival.seen is None or not ruling.takes_nothing:
        seen = observed(flags, *_observed(kept, arrival))
    else:  # as nearly always
        seen = arrival.seen
    # All copies of an event, of either channel, share its key and so a partition.
    return event_id, Entry(key, b"".join((beginning, ruling.stamp_json, seen, body, b"}")))


def _observed(kept: Kept, arrival: _Arrival) -> tuple[str, str, str, str]:
    receipt = arrival.receipt
    if arrival.source.channel == "server":  # its own address says nothing about the visitor
        ip = kept.event.ip or ""
        return truncated(ip), kept.event.user_agent or "", "", arrival.known.place_of(ip)
    ip, user_agent = kept.observed(receipt.ip, receipt.user_agent)
    return ip, user_agent, kept.hints(receipt.client_hints), kept.place(receipt.place)


def _filled_id(event: Event, body: bytes, receipt: Receipt, source: Source) -> str:
    """Make the id that a browser did not send: a retry of an event with its time gets the same.

    Of what may be kept only: a digest of what may not would still point to a person."""
    if event.occurred_at is None:
        return uuid7(receipt.received_ms)
    return digest.filled_id(source.site, body)


def uuid7(now_ms: int) -> str:
    """Make a UUID of version 7. Source: RFC 9562, section 5.7."""
    random = int.from_bytes(os.urandom(10), "big")
    number = (now_ms & 0xFFFF_FFFF_FFFF) << 80 | random & ~(0xF << 76) & ~(0x3 << 62)
    text = f"{number | 7 << 76 | 2 << 62:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
