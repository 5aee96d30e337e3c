"""What was withdrawn when an event was received, though its collector did not know yet."""

from spine.control import Control
from spine.digest import identifier_id
from spine.record import EventRecord
from spine.withdrawal import NOTHING


def forbids(control: Control, record: EventRecord) -> bool:
    """Say whether an event rests on a purpose that its device or its user had withdrawn.

    A collector hears of it within two seconds. What it took meanwhile is judged here, by the time
    of its receipt: an earlier event stays what it was, and so does one after a later grant."""
    if not control.subjects:
        return False
    subjects = [bytes.fromhex(record.visitor)] if record.visitor else []
    if record.event.user_id is not None:
        subjects.append(identifier_id(record.site, "user_id", record.event.user_id))
    granted = frozenset(record.stamp.purposes)
    withdrawn = [control.at(subject, record.received_ms) for subject in subjects]
    if not granted:  # it was kept because nothing had been refused
        return any(one != NOTHING for one in withdrawn)
    return any(one.of(granted) for one in withdrawn)
