"""What has landed before: the store says it, and is asked only where a filter in memory cannot say
that an identity is new.

Invariants:

1. The filter holds every identity that stands in `seen` for its partitions, or for another log, up
   to where it has been read; and all that this process judged since it began to be read.
2. It counts for a batch only while the ledger of the batch's partitions ends with the very line
   that was there when it was begun, or that this process entered since. Else it is begun anew.
3. Behind that line this process judges every position itself, in order. So what others land there
   meanwhile, as a processor that slept does, may be missing: it is landed again, as the same rows.
4. The filter only spares questions. What would be erased is asked for in any case.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import structlog

from processors import ledger
from processors.bloom import Bloom, digests_of
from processors.judge import Passes, Reading, Seen
from spine.log import Range
from spine.metrics import Metrics
from spine.settings import ProcessorSettings
from spine.store import Store, packed

_logger = structlog.get_logger()
_SLICE = 2_000_000
_AT_ONCE = 100_000
_LEAST_BYTES = 1 << 20
_BEGIN_BITS = 32
_FULL_BITS = 16
_DIGEST_BYTES = 16
_PREFIXES = 1 << 32


class Filter:
    """A filter that is being read, slice by slice in the order of identities, or whole."""

    def __init__(
        self, partitions: frozenset[int], ends: ledger.Ends, size_bytes: int, slices: int
    ) -> None:
        self.partitions = partitions
        self.size_bytes = size_bytes
        self.held = 0
        self._lines = dict(ends.lines)
        self._slices = slices
        self._slices_read = 0
        self._bloom = Bloom(size_bytes)

    @property
    def next_prefixes(self) -> tuple[int, int] | None:
        """With which first four bytes identities are to be read next; None when it is whole."""
        if self._slices_read == self._slices:
            return None
        return self._read_to(0), self._read_to(1) - 1

    def _read_to(self, more: int) -> int:
        return _PREFIXES * (self._slices_read + more) // self._slices

    def since(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Say where the ledger of these partitions ends."""
        return {each: self._lines.get(each, (0, 0))[0] for each in partitions}

    def counts(self, partitions: Collection[int], ends: ledger.Ends) -> bool:
        """Say whether nobody else has gone on with these partitions."""
        return all(self._lines.get(each) == ends.lines.get(each) for each in partitions)

    @property
    def is_full(self) -> bool:
        """Say whether it holds so many that a larger one would spare more questions."""
        return self.held * _FULL_BITS > self.size_bytes * 8

    def entered(self, ranges: Sequence[Range], token: int) -> None:
        """Go on to the lines that this process has entered."""
        for each in ranges:
            line = (each.next_offset, token)
            self._lines[each.partition] = max(self._lines.get(each.partition, line), line)

    def take(self, identities: bytes) -> None:
        """Take the next slice."""
        step = _AT_ONCE * _DIGEST_BYTES  # between two steps other threads come to their turn
        for first in range(0, len(identities), step):
            self._bloom.add(digests_of(identities[first : first + step]))
        self._slices_read += 1
        self.held += len(identities) // _DIGEST_BYTES

    def doubtful(self, identities: Sequence[bytes]) -> list[bytes]:
        """Give those of which it cannot be said that they are new; know all of them from now on."""
        if not identities:
            return []
        digests = digests_of(b"".join(identities))
        doubts = self._bloom.holds(digests) | (digests[:, 0] >= np.uint64(self._read_to(0)))
        self._bloom.add(digests)
        self.held += len(identities)
        return [identities[place] for place in np.flatnonzero(doubts).tolist()]


class SeenFilter:
    """Says which identities of a batch have landed before, and where first.

    Every batch reads on a slice of what is stored, so that nothing waits until the filter is whole.
    It is begun with 32 bits for each identity and anew, larger, when it is down to 16; beyond
    `most_bytes` it does not grow, and spares ever fewer questions."""

    def __init__(self, store: Store, log_id: str, metrics: Metrics) -> None:
        self.most_bytes = ProcessorSettings().seen_filter_bytes
        self._store = store
        self._log_id = log_id
        self._metrics = metrics
        self._logs: int | None = None
        self._filter: Filter | None = None

    def forget(self) -> None:
        """Begin anew with the next batch."""
        self._filter = None

    async def ends(self, ranges: Sequence[Range]) -> ledger.Ends:
        """Give what the store knows last, before a batch is judged. Raises: Unavailable."""
        partitions = frozenset(each.partition for each in ranges)
        one = self._filter
        if one is None or not partitions <= one.partitions:
            return await self._begin(partitions | (one.partitions if one else frozenset()))
        found = await ledger.ends(self._store, self._log_id, one.since(partitions))
        if self._logs == found.logs and one.counts(partitions, found):
            return found
        return await self._begin(one.partitions)

    async def look_up(self, readings: Sequence[Reading], passes: Passes) -> Mapping[bytes, Seen]:
        """Give every identity of a batch that has landed before. Raises: Unavailable."""
        asked = {reading.identity for reading in readings}
        if self._filter is not None:
            await self._read_on(self._filter)
            asked = set(await asyncio.to_thread(self._filter.doubtful, list(asked)))
            asked |= {each.identity for each in readings if isinstance(passes(each), str)}
        self._metrics.identities_asked.inc(len(asked))
        return await seen(self._store, asked)

    def entered(self, ranges: Sequence[Range], token: int) -> None:
        """Hear of the lines that were entered for the batch that was looked up last."""
        if self._filter is not None:
            self._filter.entered(ranges, token)
            if self._filter.is_full and self._filter.size_bytes < self.most_bytes:
                self.forget()

    async def _begin(self, partitions: frozenset[int]) -> ledger.Ends:
        self.forget()
        ends = await ledger.ends(self._store, self._log_id, dict.fromkeys(partitions, 0))
        self._logs = ends.logs if self._logs is None else self._logs
        if self._logs != ends.logs:  # of another log others may land what stands on this one
            return ends
        ((count,),) = await self._store.select_after_write(
            f"SELECT count() FROM seen WHERE {self._matters(partitions)}"
        )
        size_bytes = min(max(count * _BEGIN_BITS // 8, _LEAST_BYTES), self.most_bytes)
        self._filter = Filter(partitions, ends, size_bytes, count // _SLICE + 1)
        return ends

    async def _read_on(self, one: Filter) -> None:
        if (prefixes := one.next_prefixes) is None:
            return
        first, last = prefixes
        identities = await self._store.select_packed(
            f"SELECT identity FROM seen WHERE {self._matters(one.partitions)}"
            f" AND identity BETWEEN unhex('{first:08x}{'0' * 24}')"
            f" AND unhex('{last:08x}{'f' * 24}')"
        )
        await asyncio.to_thread(one.take, identities)
        if one.next_prefixes is None:
            _logger.info("seen_filter", identities=one.held, size_bytes=one.size_bytes)

    def _matters(self, partitions: Collection[int]) -> str:
        among = ", ".join(str(each) for each in sorted(partitions))
        return f"(log_id != '{self._log_id}' OR log_partition IN ({among}))"


async def seen(store: Store, identities: Collection[bytes]) -> Mapping[bytes, Seen]:
    """Ask the store which of these identities have landed before, and where first."""
    if not identities:
        return {}
    rows = await store.select_after_write(
        "SELECT identity, argMin((log_id, log_partition, log_offset, body),"
        " (log_partition, log_offset, log_id)) FROM seen WHERE identity IN "
        f"{packed(identities)} GROUP BY identity"
    )
    return {
        bytes(identity): Seen(str(log_id), int(partition), int(offset), bytes(body))
        for identity, (log_id, partition, offset, body) in rows
    }
