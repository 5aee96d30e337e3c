"""Admit events: what the client claims, what the server observed, what the rules allow → records.

Pure, and the heart of the collector: nothing that is not returned from here reaches the log.
"""

import os
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from collector.decode import Claims
from collector.observe import Receipt, truncated
from collector.source import Source
from consent_rules.decide import Dropped, Kept, decide
from spine import digest
from spine.codes import Refused
from spine.event import KNOWN_NAMES, Event
from spine.log import Entry
from spine.money import with_currency
from spine.record import EventRecord, encode

BROWSER_MAX_AGE_MS = 7 * 86_400_000
SERVER_MAX_AGE_MS = 3_653 * 86_400_000
SERVER_CLOCK_LEEWAY_MS = 300_000
MAX_RECORD_BYTES = 262_144
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_EPOCH_ON = date(1970, 1, 1)
_encoder = msgspec.json.Encoder()


class Result(NamedTuple):
    """What is answered about one event.

    Shape: `status` is `accepted`, `refused` or `dropped`; `name` and `rule` are for counting."""

    event_id: str | None
    status: str
    code: str | None
    detail: str | None
    name: str
    rule: str = ""
    outcome: str = ""


class Admission(NamedTuple):
    """The answer to a request, in request order, and what must be durable before it is given."""

    results: Sequence[Result]
    admitted: Sequence[Entry]


class _Time(NamedTuple):
    occurred_ms: int
    clamped: bool


def admit(claims: Claims, receipt: Receipt, source: Source) -> Admission:
    """Decide about every event on its own; one bad event never fails its neighbours."""
    results: list[Result] = []
    admitted: list[Entry] = []
    for claim in claims.events:
        answer = _admit(claim, claims.sent_at, receipt, source)
        if isinstance(answer, Result):
            results.append(answer)
        else:
            results.append(answer[0])
            admitted.append(answer[1])
    return Admission(results, admitted)


def _admit(
    claim: Event | Refused, sent_at: datetime | None, receipt: Receipt, source: Source
) -> Result | tuple[Result, Entry]:
    if isinstance(claim, Refused):
        return _refused(claim.event_id, "(unreadable)", claim)
    name = claim.name if claim.name in KNOWN_NAMES else "(custom)"
    refusal = _may_not(claim, source)
    if refusal is not None:
        return _refused(claim.event_id, name, refusal)
    time = _time(claim, sent_at, receipt, source)
    if isinstance(time, Refused):
        return _refused(claim.event_id, name, time)
    decision = decide(source.rules, claim)
    if isinstance(decision, Dropped):
        detail = None if decision.readable else "the consent object is unreadable"
        return Result(
            claim.event_id, "dropped", "no_consent", detail, name, decision.rule, "dropped"
        )
    record = _record(decision, time, receipt, source)
    value = encode(record)
    if len(value) > MAX_RECORD_BYTES:
        why = Refused("too_long", "$", f"An event may have {MAX_RECORD_BYTES} bytes in all")
        return _refused(claim.event_id, name, why)
    code = None if claim.event_id is not None else "event_id_filled"
    stamp = decision.stamp
    result = Result(record.event_id, "accepted", code, None, name, stamp.rule, stamp.kept)
    # All copies of an event, of either channel, share its key and so a partition.
    return result, Entry(bytes.fromhex(record.event_key), value)


def _refused(event_id: str | None, name: str, why: Refused) -> Result:
    return Result(event_id, "refused", why.code, f"{why.detail} - at {why.path}", name)


def _may_not(event: Event, source: Source) -> Refused | None:
    if source.channel == "server":
        for field in ("event_id", "occurred_at"):
            if getattr(event, field) is None:
                return Refused("missing_field", f"$.{field}", "A server key must send it")
    else:
        for field in ("ip", "user_agent"):
            if getattr(event, field) is not None:
                return Refused("not_allowed", f"$.{field}", "Only a server key may say this")
    return None


def _time(
    event: Event, sent_at: datetime | None, receipt: Receipt, source: Source
) -> _Time | Refused:
    """Give the corrected time of an event.

    A browser's clock is corrected by when it says it sent the batch, and never runs ahead of ours;
    a server's clock is believed."""
    now_ms = receipt.received_ms
    if event.occurred_at is None:
        return _Time(now_ms, clamped=False)
    claimed_ms = milliseconds(event.occurred_at)
    if source.channel == "browser":
        if sent_at is not None:
            claimed_ms += now_ms - milliseconds(sent_at)
        max_age_ms = BROWSER_MAX_AGE_MS
    else:
        max_age_ms = SERVER_MAX_AGE_MS
        if claimed_ms > now_ms + SERVER_CLOCK_LEEWAY_MS:
            return Refused("in_future", "$.occurred_at", "The time has not come yet")
    if claimed_ms < max(now_ms - max_age_ms, 0):
        days = max_age_ms // 86_400_000
        return Refused("too_old", "$.occurred_at", f"This key may go back {days} days")
    return _Time(min(claimed_ms, now_ms), clamped=claimed_ms > now_ms)


def milliseconds(instant: datetime) -> int:
    """Give milliseconds since 1970 UTC."""
    return (instant - _EPOCH) // _MILLISECOND


def day_of(received_ms: int, source: Source) -> int:
    """Give the day of an instant in the site's time zone, in days since 1970."""
    return _day_of_minute(received_ms // 60_000, source.zone)


@lru_cache(maxsize=64)
def _day_of_minute(minute: int, zone: ZoneInfo) -> int:  # no zone changes its day within a minute
    return (datetime.fromtimestamp(minute * 60, zone).date() - _EPOCH_ON).days


def _record(kept: Kept, time: _Time, receipt: Receipt, source: Source) -> EventRecord:
    event, currency_filled = with_currency(kept.event, source.currency)
    flags: tuple[str, ...] = () if kept.readable else ("consent_unreadable",)
    if currency_filled:
        flags = (*flags, "currency_filled")
    if time.clamped:
        flags = (*flags, "time_clamped")
    ip, user_agent = _observed(kept, receipt, source)
    event = msgspec.structs.replace(event, ip=None, user_agent=None, event_id=None)
    body = _encoder.encode(event)
    event_id = kept.event.event_id or _filled_id(event, body, receipt, source)
    key = digest.event_key(source.site, event.name, event_id)
    visitor = digest.visitor_id(source.site, event.anonymous_id, event.user_id)
    return EventRecord(
        site=source.site,
        channel=source.channel,
        event_id=event_id,
        identity=digest.identity(key, source.channel).hex(),
        event_key=key.hex(),
        visitor=visitor.hex() if visitor else None,
        body=digest.body_digest(body).hex(),
        occurred_ms=time.occurred_ms,
        received_ms=receipt.received_ms,
        received_on=day_of(receipt.received_ms, source),
        stamp=kept.stamp,
        flags=flags,
        ip=ip,
        user_agent=user_agent,
        event=event,
    )


def _observed(kept: Kept, receipt: Receipt, source: Source) -> tuple[str, str]:
    if kept.stamp.kept == "stripped":
        return "", ""
    if source.channel == "server":  # its own address says nothing about the visitor
        return truncated(kept.event.ip or ""), kept.event.user_agent or ""
    return receipt.ip, receipt.user_agent


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
