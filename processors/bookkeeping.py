"""Records → the columns that say what became of them: fates, identities, rejects, tallies,
spills, decisions. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from processors.judge import Fate, Reading
from spine.record import ConsentRecord, SpillRecord, TallyRecord

Columns = Mapping[str, Sequence[Any]]


def fate_columns(log_id: str, fates: Sequence[Fate]) -> Columns:
    """One row per log position."""
    return {
        "log_id": [log_id] * len(fates),
        "log_partition": [fate.record.partition for fate in fates],
        "log_offset": [fate.record.offset for fate in fates],
        "site": [fate.site for fate in fates],
        "received_at": [fate.received_ms for fate in fates],
        "appended_at": [fate.record.appended_ms for fate in fates],
        "identity": [fate.identity for fate in fates],
        "fate": [fate.fate for fate in fates],
        "code": [fate.code for fate in fates],
    }


def seen_columns(log_id: str, readings: Sequence[Reading]) -> Columns:
    """One row per identity and the position it was first found at."""
    return {
        "identity": [reading.identity for reading in readings],
        "log_id": [log_id] * len(readings),
        "log_partition": [reading.record.partition for reading in readings],
        "log_offset": [reading.record.offset for reading in readings],
        "body": [reading.body for reading in readings],
    }


def reject_columns(log_id: str, readings: Sequence[Reading]) -> Columns:
    """One row per record that could not be read, with its bytes."""
    return {
        "log_id": [log_id] * len(readings),
        "log_partition": [reading.record.partition for reading in readings],
        "log_offset": [reading.record.offset for reading in readings],
        "appended_at": [reading.record.appended_ms for reading in readings],
        "code": [getattr(reading.content, "code", "") for reading in readings],
        "detail": [getattr(reading.content, "detail", "") for reading in readings],
        "value": [reading.record.value for reading in readings],
    }


def tally_columns(readings: Iterable[Reading]) -> Columns:
    """One row per count of a flush."""
    rows = [
        (reading.content, row)
        for reading in readings
        if isinstance(reading.content, TallyRecord)
        for row in reading.content.rows
    ]
    return {
        "site": [row.site for _, row in rows],
        "received_on": [row.received_on for _, row in rows],
        "collector": [tally.collector for tally, _ in rows],
        "boot": [tally.boot for tally, _ in rows],
        "sequence": [tally.sequence for tally, _ in rows],
        "status": [row.status for _, row in rows],
        "code": [row.code for _, row in rows],
        "name": [row.name for _, row in rows],
        "count": [row.count for _, row in rows],
    }


def decision_columns(readings: Iterable[Reading]) -> Columns:
    """One row per decision about consent."""
    decided = [
        (reading.identity, reading.content)
        for reading in readings
        if isinstance(reading.content, ConsentRecord)
    ]
    return {
        "site": [one.site for _, one in decided],
        "subject": [bytes.fromhex(one.subject) for _, one in decided],
        "kind": [one.kind for _, one in decided],
        "received_at": [one.received_ms for _, one in decided],
        "identity": [identity for identity, _ in decided],
        "decided_at": [one.decided_ms for _, one in decided],
        "action": [one.action for _, one in decided],
        "granted": [one.granted for _, one in decided],
        "denied": [one.denied for _, one in decided],
        "text_version": [one.text_version for _, one in decided],
        "channel": [one.channel for _, one in decided],
    }


def spill_columns(readings: Iterable[Reading]) -> Columns:
    """One row per word of a collector about its spill."""
    told = [r.content for r in readings if isinstance(r.content, SpillRecord)]
    return {
        "spill": [one.spill for one in told],
        "number": [one.number for one in told],
        "waiting": [one.waiting for one in told],
        "collector": [one.collector for one in told],
        "told_at": [one.received_ms for one in told],
    }
