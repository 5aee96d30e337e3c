"""What may land of a record: nothing of the erased, and of what was withdrawn though the collector
did not know yet, what it would have kept had it known."""

from collections.abc import Mapping

from processors.evidence import further_key
from processors.identity.graph import KINDS
from processors.judge import NOBODY, Reading
from processors.replay import Again, Left, without
from processors.site import Site
from spine.control.followed import Control
from spine.control.withdrawal import NOTHING, Withdrawn
from spine.digest import identifier_id
from spine.record import ConsentRecord, EventRecord, decode, decode_to_land


def passes(control: Control, sites: Mapping[str, Site], reading: Reading) -> Reading | str:
    """Give what may land of a record, or the code by which nothing may."""
    content = reading.content
    if not isinstance(content, EventRecord | ConsentRecord):
        return reading
    if is_erased(control, content):
        return "erased_before"
    if not control.subjects or isinstance(content, ConsentRecord):
        return reading
    left = _as_withdrawn(control, sites, reading, content)
    return "withdrawn_before" if left is None else left


def is_erased(control: Control, record: EventRecord | ConsentRecord) -> bool:
    """Say whether a record is not later than the erasure of whom it names.

    It holds whenever it is asked, also of what has landed: the mark says up to when whatever
    carries an identifier is erased."""
    if not control.marks:
        return False
    return _happened_ms(record) <= control.erased_of(subjects_of(record))


def _happened_ms(record: EventRecord | ConsentRecord) -> int:
    if isinstance(record, ConsentRecord):
        return record.received_ms
    return min(record.occurred_ms, record.received_ms)


def subjects_of(record: EventRecord | ConsentRecord) -> list[bytes]:
    """Give the digests of the identifiers that a record carries."""
    if isinstance(record, ConsentRecord):
        return [bytes.fromhex(record.subject)]
    subjects = [bytes.fromhex(record.visitor)] if record.visitor else []
    if record.event.user_id is not None:
        subjects.append(identifier_id(record.site, "user_id", record.event.user_id))
    if record.event.identifiers is not None:
        further = (further_key(record, kind) for kind in KINDS[1:-1])
        subjects += [key for key in further if key != NOBODY]
    return subjects


def _as_withdrawn(
    control: Control, sites: Mapping[str, Site], reading: Reading, record: EventRecord
) -> Reading | None:
    """Give what may land of an event: all of it, what its collector would have kept had it known,
    or nothing.

    A collector hears of a withdrawal within two seconds. What it took meanwhile is judged here, by
    the time of its receipt: an earlier event stays what it was, and so does one after a later
    grant. Where the rules are not here, and where an event's very id was made of what has to go,
    nothing of it may land."""
    withdrawn = _withdrawn(control, record)
    if withdrawn == NOTHING:
        return reading
    site = sites.get(record.site)
    regime = site.rules.of(record.stamp.version) if site and site.rules else None
    if regime is None:
        return None if _rests_on(withdrawn, record) else reading
    whole = decode(reading.record.value)  # to land, properties were left as they are
    if not isinstance(whole, EventRecord):  # only whoever wrote it otherwise than we do
        return None
    left = without(whole, regime, withdrawn)
    return reading if left is None else _rewritten(reading, left)


def _rewritten(reading: Reading, left: Again | Left) -> Reading | None:
    if isinstance(left, Left) or left.identity != reading.identity:
        return None
    content = decode_to_land(left.value)
    if not isinstance(content, EventRecord):
        return None
    return Reading(reading.record, content, reading.identity, bytes.fromhex(content.body))


def _withdrawn(control: Control, record: EventRecord) -> Withdrawn:
    withdrawn = NOTHING
    for subject in subjects_of(record):
        withdrawn = withdrawn.also(control.at(subject, record.received_ms))
    return withdrawn


def _rests_on(withdrawn: Withdrawn, record: EventRecord) -> bool:
    granted = frozenset(record.stamp.purposes)
    # Without any, it was kept because nothing had been refused.
    return not granted or bool(withdrawn.of(granted))
