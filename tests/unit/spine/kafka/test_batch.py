"""What a produce request is made of: every value once, in the bytes that aiokafka would send."""

from collections import defaultdict
from collections.abc import Sequence

import google_crc32c
from aiokafka.protocol.produce import ProduceRequest_v7
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given, settings
from hypothesis import strategies as st

from spine.digest import partition_of
from spine.kafka.batch import Batches, Produce, packed
from spine.kafka.topic import MAX_VALUE_BYTES
from spine.log import Entry

_entries = st.lists(
    st.builds(
        Entry,
        st.binary(min_size=16, max_size=16),
        st.builds(bytes.__mul__, st.binary(min_size=1, max_size=3), st.integers(1, 400_000)),
    ),
    min_size=1,
    max_size=12,
)


def values(batch: bytes) -> Sequence[bytes]:
    """Read one batch as a broker does: exactly one, whose checksum is right."""
    records = MemoryRecords(bytes(batch))
    found = records.next_batch()
    assert found is not None
    assert found.validate_crc()
    assert not records.has_next()
    each = list(found)
    assert [record.offset for record in each] == list(range(len(each)))
    assert all(record.key is None and not record.headers for record in each)
    return [record.value for record in each]


@settings(max_examples=40)
@given(_entries, st.integers(1, 5))
def test_every_value_is_once_in_its_partition_and_in_order(
    entries: list[Entry], partitions: int
) -> None:
    wanted: defaultdict[int, list[bytes]] = defaultdict(list)
    for entry in entries:
        wanted[partition_of(entry.key, partitions)].append(entry.value)
    found: defaultdict[int, list[bytes]] = defaultdict(list)
    for batches in packed(entries, partitions, 1_790_000_000_000):
        for partition, batch in batches.items():
            found[partition] += values(batch)
    assert found == wanted


def test_a_batch_stays_below_what_the_topic_takes_and_a_request_holds_one_of_a_partition() -> None:
    large = [Entry(bytes(16), bytes(size)) for size in (600_000, 600_000, MAX_VALUE_BYTES, 10, 10)]
    requests = packed(large, 1, 0)
    assert [len(values(batches[0])) for batches in requests] == [1, 1, 1, 2]
    assert max(len(batches[0]) for batches in requests) <= MAX_VALUE_BYTES + 1024


def built(entries: Sequence[Entry], now_ms: int, *, compacted: bool) -> bytes:
    """Let aiokafka build the batch."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=0,
        batch_size=1 << 30,
    )
    for offset, entry in enumerate(entries):
        builder.append(offset, now_ms, entry.key if compacted else None, entry.value, [])
    return bytes(builder.build())


_lengths = st.integers(0, 3_000) | st.sampled_from([63, 64, 8_191, 8_192, 70_000])


@settings(max_examples=100)
@given(st.lists(_lengths, min_size=1, max_size=100), st.integers(0, 1 << 42), st.booleans())
def test_a_batch_is_the_one_that_aiokafka_builds(
    lengths: list[int], now_ms: int, compacted: bool
) -> None:
    entries = [Entry(bytes(16), bytes([number]) * each) for number, each in enumerate(lengths)]
    found = [batches[0] for batches in packed(entries, 1, now_ms, compacted=compacted)]
    left = entries
    for batch in found:
        count = int.from_bytes(batch[57:61])  # of its records
        assert batch == built(left[:count], now_ms, compacted=compacted)
        left = left[count:]
    assert not left


def test_a_batch_of_ten_thousand_is_the_one_that_aiokafka_builds() -> None:
    entries = [Entry(bytes(16), b"%d" % number) for number in range(10_000)]
    assert packed(entries, 1, 7) == [{0: built(entries, 7, compacted=False)}]


def test_checksums_are_made_by_the_processor() -> None:
    assert google_crc32c.implementation == "c"  # in Python they would take longer than all else


def test_the_bytes_are_those_that_the_schema_of_aiokafka_gives() -> None:
    batches: Batches = {0: b"first", 11: b"", 3: bytes(70_000)}
    request = Produce("collected-ü", batches, 5000).prepare({0: (3, 13)})
    plain = ProduceRequest_v7(
        request.transactional_id, request.required_acks, request.timeout, request.topics
    )
    assert request.required_acks == -1
    assert request.encode() == plain.encode()
