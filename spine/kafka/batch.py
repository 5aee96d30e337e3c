"""What a produce request is made of: values packed into batches, and its bytes. Pure."""

import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from aiokafka.protocol.api import Request
from aiokafka.protocol.produce import ProduceRequest_v7
from google_crc32c import value as crc32c

from spine.digest import partition_of
from spine.log import Entry

_BATCH_BYTES = 1024 * 1024  # a larger value has a batch of its own
_AROUND_BYTES = 64  # an upper bound of what a record has beside its value
_NO_TIME = b"\x00\x00"  # no attributes, and no later than the batch
_NO_KEY = b"\x01"  # a length of -1
_NO_HEADERS = b"\x00"
_ALL_IN_SYNC = -1

Batches = Mapping[int, bytes]
"""A batch of records for each of some partitions: what one request may hold."""


def packed(
    entries: Sequence[Entry], partitions: int, now_ms: int, *, compacted: bool = False
) -> Sequence[Batches]:
    """Pack values into as few requests as may hold them, nearly always one.

    Shape: where the topic is compacted, values have their keys beside them.
    Units: `now_ms` is overwritten by the broker (LogAppendTime)."""
    by_partition: defaultdict[int, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_partition[partition_of(entry.key, partitions)].append(entry)
    requests: list[dict[int, bytes]] = []
    for partition, some in by_partition.items():
        for number, batch in enumerate(_batches(some, now_ms, compacted=compacted)):
            if number == len(requests):
                requests.append({})
            requests[number][partition] = batch
    return requests


def _batches(entries: Sequence[Entry], now_ms: int, *, compacted: bool) -> Iterator[bytes]:
    while entries:
        count, size_bytes = 0, 0
        for entry in entries:
            size_bytes += len(entry.value) + _AROUND_BYTES
            if size_bytes > _BATCH_BYTES and count:  # it is full
                break
            count += 1
        yield _batch(entries[:count], now_ms, compacted=compacted)
        entries = entries[count:]


def _batch(entries: Sequence[Entry], now_ms: int, *, compacted: bool) -> bytes:
    """Join the records of a batch: no compression, no producer, no headers.

    Source: Kafka, record batches of magic 2 (kafka.apache.org, implementation, message format)."""
    count = len(entries)
    parts = [struct.pack(">hiqqqhii", 0, count - 1, now_ms, now_ms, -1, -1, 0, count)]
    for place, entry in zip(map(_number, range(count)), entries, strict=True):
        value = entry.value
        key = _number(len(entry.key)) + entry.key if compacted else _NO_KEY
        length, size = _lengths(len(place) + len(key), len(value))
        parts += (length, place, key, size, value, _NO_HEADERS)
    content = b"".join(parts)
    return struct.pack(">qiibI", 0, len(content) + 9, -1, 2, crc32c(content)) + content


@lru_cache(maxsize=32_768)  # most values are of some thousand lengths
def _lengths(place_and_key_bytes: int, value_bytes: int) -> tuple[bytes, bytes]:
    """Give how a record begins, and the length that stands before its value."""
    size = _number(value_bytes)
    length = len(_NO_TIME) + place_and_key_bytes + len(size) + value_bytes + len(_NO_HEADERS)
    return _number(length) + _NO_TIME, size


@lru_cache(maxsize=32_768)
def _number(number: int) -> bytes:
    """Give a number that is not negative as a varint of protocol buffers, in their zigzag."""
    number <<= 1
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


class ProduceFields(ProduceRequest_v7):  # type: ignore[misc] # aiokafka has no types
    """The fields of a produce request, put together in one go.

    Source: aiokafka's schema of version 7, Kafka 2.1 and newer; encoded by the schema, field
    within field, each batch is copied five times: 1.3 µs an event."""

    def encode(self) -> bytes:
        """Give the bytes that the schema gives."""
        parts = [struct.pack(">hhii", -1, self.required_acks, self.timeout, len(self.topics))]
        for topic, batches in self.topics:
            name = topic.encode()
            parts += (struct.pack(">h", len(name)), name, struct.pack(">i", len(batches)))
            for partition, batch in batches:
                parts += (struct.pack(">ii", partition, len(batch)), batch)
        return b"".join(parts)


class Produce(Request[ProduceFields]):  # type: ignore[misc] # aiokafka has no types
    """Asks the leader of some partitions to take a batch for each, and to answer when all in-sync
    replicas have it."""

    API_KEY = ProduceFields.API_KEY

    def __init__(self, topic: str, batches: Batches, timeout_ms: int) -> None:
        self._topic = topic
        self._batches = batches
        self._timeout_ms = timeout_ms

    def build(self, fields: type[ProduceFields]) -> ProduceFields:
        """Give the fields, as aiokafka's client asks for them."""
        topics = [(self._topic, list(self._batches.items()))]
        return fields(None, _ALL_IN_SYNC, self._timeout_ms, topics)
