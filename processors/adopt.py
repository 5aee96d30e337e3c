"""Letting the store read a log that is not the one it has read before.

The log gets an id of its own and is read from its start. Which events have landed is known by their
identity, whatever log they stood on: what stands on both counts once.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import uuid4

from processors.ledger import BEFORE, contradiction, enter_beginning, positions, resume
from processors.logs import Known, counting, enter
from spine.embedded.log import EmbeddedLog
from spine.errors import Misconfigured
from spine.log import Bounds, Log, Range
from spine.store import Store


class Plan(NamedTuple):
    """What an adoption would do.

    Shape: `why` is what shows that the log is another one; `known` counts until then, and its
    ledger ends at `reached`; `log_id` counts afterwards. Where the log is the same and only its
    partition count is not, `pending` is still to be read under the id that counts now; None where
    it is another log, and nobody knows what was pending."""

    why: str
    known: Known
    reached: Mapping[int, int]
    log_id: str
    pending: Sequence[Range] | None


async def plan(store: Store, log: Log, own_id: str | None) -> Plan | None:
    """Compare log and store; None when the log is the one that the store reads.

    Raises: Misconfigured when the store reads no log yet, Unavailable."""
    known = await counting(store, log.name)
    if known is None:
        raise Misconfigured("log.url", f"the store does not know {log.name}: run `beleg migrate`")
    ends = await positions(store, known.log_id, range(known.partitions))
    reached = {partition: position.offset for partition, position in ends.items()}
    wrong = await _wrong(store, log, own_id or known.log_id)
    if own_id is not None and own_id != known.log_id:
        why = f"the log file is {own_id}, the store has read {known.log_id}"
        # A file that was read before and contradicts that is a copy: it cannot keep its id.
        return Plan(why, known, reached, uuid4().hex if wrong else own_id, None)
    if wrong is None and known.partitions > log.partitions:
        wrong = f"it has {log.partitions} partitions, the store has read {known.partitions}"
    if wrong is not None:
        return Plan(wrong, known, reached, uuid4().hex, None)
    if known.partitions == log.partitions:
        return None
    why = f"it has {log.partitions} partitions, the store has read it with {known.partitions}"
    return Plan(why, known, reached, uuid4().hex, _pending(reached, await log.bounds()))


async def _wrong(store: Store, log: Log, log_id: str) -> str | None:
    known = await positions(store, log_id, range(log.partitions))
    bounds = await log.bounds()  # after: others may be writing, and bounds only grow
    for partition, position in known.items():
        what = await contradiction(log, partition, position, bounds[partition])
        if what is not None:
            return what
    return None


def _pending(reached: Mapping[int, int], bounds: Mapping[int, Bounds]) -> list[Range]:
    return [
        Range(partition, max(at, bounds[partition].start), bounds[partition].end)
        for partition, at in reached.items()
        if at < bounds[partition].end
    ]


async def pending_now(store: Store, log: Log, known: Known) -> list[Range]:
    """Give what of the log is still to be read under a known id; what it dropped is booked as
    lost. Raises: Misconfigured, Unavailable."""
    reached = await resume(store, log, known.log_id, range(known.partitions))
    return _pending(reached, await log.bounds())


async def adopt(store: Store, log: Log, planned: Plan) -> str:
    """Let the log count under the planned id, read from its start; give the id that counts.

    Killed at any point it may be planned and done again. Raises: Unavailable."""
    bounds = await log.bounds()
    known = await positions(store, planned.log_id, list(bounds))
    for partition, bound in bounds.items():
        if bound.start > 0 and known[partition].digest is None:
            gap = Range(partition, 0, bound.start)
            await enter_beginning(store, log, planned.log_id, gap, BEFORE)
    if isinstance(log, EmbeddedLog) and log.log_id != planned.log_id:
        await log.rename(planned.log_id)
    generation = planned.known.generation + 1
    await enter(store, log, Known(planned.log_id, log.partitions, generation))
    counts = await counting(store, log.name)
    return counts.log_id if counts is not None else planned.log_id
