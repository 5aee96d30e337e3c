"""What may not land: of the erased, and what was withdrawn though the collector did not know."""

from spine.control import Control
from spine.digest import identifier_id
from spine.record import ConsentRecord, EventRecord
from spine.withdrawal import NOTHING


def forbids(control: Control, record: EventRecord | ConsentRecord) -> str:
    """Say by which code a record may not land, or nothing when it may.

    `erased_before` holds whenever it is asked, also of what has landed: the mark says up to when
    whatever carries an identifier is erased."""
    if control.marks and _happened_ms(record) <= control.erased_of(subjects_of(record)):
        return "erased_before"
    if isinstance(record, EventRecord) and _withdrawn(control, record):
        return "withdrawn_before"
    return ""


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
    return subjects


def _withdrawn(control: Control, record: EventRecord) -> bool:
    """Say whether an event rests on a purpose that its device or its user had withdrawn.

    A collector hears of it within two seconds. What it took meanwhile is judged here, by the time
    of its receipt: an earlier event stays what it was, and so does one after a later grant."""
    if not control.subjects:
        return False
    granted = frozenset(record.stamp.purposes)
    withdrawn = [control.at(subject, record.received_ms) for subject in subjects_of(record)]
    if not granted:  # it was kept because nothing had been refused
        return any(one != NOTHING for one in withdrawn)
    return any(one.of(granted) for one in withdrawn)
