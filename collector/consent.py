"""Consent decisions: from what was posted to what is durable. Pure, but for `Decisions`.

A decision names a device or a user of the site that the key belongs to. That is all that can be
known of it: a browser key is public, and whoever has it may speak for any id of its site. The worst
of it is that somebody is not measured who agreed; a grant alone lets nothing in, because every
event must carry its own consent.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from collector.decode import refusal
from collector.observe import Receipt
from collector.source import Source
from collector.times import milliseconds
from consent_rules.signals.claim import says_twice
from spine.codes import Refused
from spine.control.followed import Control
from spine.control.withdrawal import EVERYTHING
from spine.digest import identifier_id
from spine.event import Identifier, Instant, Purpose
from spine.failpoint import reach
from spine.log import Appends, Entry
from spine.record import ConsentRecord, control_identity, encode
from spine.salts.salts import Salts

TextVersion = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:+-]{1,64}\Z")]
"""Which text, or which version of a consent tool, the visitor saw; no room for an address."""


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a visitor or a user has decided."""

    action: Literal["grant", "withdraw"]
    anonymous_id: Identifier | None = None
    user_id: Identifier | None = None
    purposes: Annotated[dict[Purpose, bool], Meta(max_length=50)] | None = None
    decided_at: Instant | None = None
    text_version: TextVersion | None = None


class Choices(NamedTuple):
    """The purposes that a decision grants, and those that it denies."""

    granted: tuple[str, ...]
    denied: tuple[str, ...]


_decoder = msgspec.json.Decoder(Decision)


def decode_decision(body: bytes) -> Decision | Refused:
    """Read a decision, or say what is wrong with it. Total."""
    try:
        decision = _decoder.decode(body)
    except msgspec.ValidationError as error:
        return refusal(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Refused("wrong_type", "$", "The body is not JSON of a decision")
    if says_twice(body):  # a grant behind a withdrawal would hide it
        return Refused("bad_value", "$", "Expected every name once")
    if decision.anonymous_id is None and decision.user_id is None:
        return Refused("missing_field", "$.anonymous_id", "Name anonymous_id, user_id, or both")
    if decision.action == "grant" and not decision.purposes:
        return Refused("missing_field", "$.purposes", "A grant names its purposes")
    return decision


def choices_of(decision: Decision) -> Choices:
    """Say what a decision grants and denies.

    A withdrawal denies what it names, whatever stands beside the name, or else everything; a grant
    denies what it names as false."""
    purposes = decision.purposes or {}
    if decision.action == "withdraw":
        return Choices((), tuple(sorted(purposes)) or (EVERYTHING,))
    granted = sorted(purpose for purpose, is_granted in purposes.items() if is_granted)
    return Choices(tuple(granted), tuple(sorted(purposes.keys() - set(granted))))


def records_of(decision: Decision, receipt: Receipt, source: Source) -> Iterator[ConsentRecord]:
    """Give the record of a decision for each id that it names."""
    granted, denied = choices_of(decision)
    received_ms = decided_ms = receipt.received_ms
    if decision.decided_at is not None:
        decided_ms = min(max(milliseconds(decision.decided_at), 0), received_ms)
    named: tuple[tuple[Literal["anonymous_id", "user_id"], str | None], ...] = (
        ("anonymous_id", decision.anonymous_id),
        ("user_id", decision.user_id),
    )
    for kind, identifier in named:
        if identifier is not None:
            yield ConsentRecord(
                site=source.site,
                channel=source.channel,
                kind=kind,
                subject=identifier_id(source.site, kind, identifier).hex(),
                action=decision.action,
                granted=granted,
                denied=denied,
                decided_ms=decided_ms,
                received_ms=received_ms,
                text_version=decision.text_version or "",
            )


class Logs(NamedTuple):
    """What a collector writes to, and learns from."""

    events: Appends
    control: Control
    salts: Salts | None = None


class Decisions:
    """Takes decisions: to the control log, where they work, then to the log, where they prove."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs

    async def take(self, decision: Decision, receipt: Receipt, source: Source) -> None:
        """Return when a decision is durable and in force. Raises: Unavailable; then it may be in
        force all the same, and taking it again is safe."""
        entries = []
        for record in records_of(decision, receipt, source):
            await self._logs.control.enter(
                bytes.fromhex(record.subject), record.granted, record.denied, record.received_ms
            )
            entries.append(Entry(control_identity(record), encode(record)))
        reach("before the decision's append")
        await self._logs.events.append(entries)
        reach("after the decision's append")
