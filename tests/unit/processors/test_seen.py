"""The filter before the question for known identities, as it is read slice by slice."""

import os

from processors.ledger import Ends
from processors.seen import Filter
from spine.log import Range

BEGUN = Ends(token=50, logs=1, lines={0: (10, 40)})


def made(slices: int = 1, size_bytes: int = 1 << 16) -> Filter:
    return Filter(frozenset((0, 3)), BEGUN, size_bytes, slices)


def test_what_is_not_read_yet_is_doubtful() -> None:
    low, high = bytes(16), b"\xff" * 16
    one = made(slices=2)
    assert one.next_prefixes == (0, (1 << 31) - 1)
    assert one.doubtful([low, high]) == [low, high]
    one = made(slices=2)
    one.take(b"")
    assert one.next_prefixes == (1 << 31, (1 << 32) - 1)
    assert one.doubtful([low, high]) == [high]
    one = made(slices=2)
    one.take(b"")
    one.take(b"")
    assert one.next_prefixes is None
    assert one.doubtful([low, high]) == []


def test_slices_leave_nothing_out() -> None:
    for slices in (1, 2, 3, 7, 50, 1_000):
        one = made(slices)
        following = 0
        while (prefixes := one.next_prefixes) is not None:
            assert prefixes[0] == following
            following = prefixes[1] + 1
            one.take(b"")
        assert following == 1 << 32


def test_what_was_judged_or_read_is_doubtful() -> None:
    read, judged, new = (os.urandom(16) for _ in range(3))
    one = made()
    one.take(read)
    assert one.doubtful([judged]) == []
    assert set(one.doubtful([new, read, judged])) == {read, judged}
    assert one.doubtful([]) == []


def test_it_counts_while_the_ledger_ends_as_this_process_left_it() -> None:
    one = made()
    assert one.counts([0], BEGUN)
    assert one.counts([3], BEGUN)
    assert not one.counts([0], BEGUN._replace(lines={}))
    assert not one.counts([0], BEGUN._replace(lines={0: (10, 41)}))
    assert not one.counts([0, 3], BEGUN._replace(lines={0: (10, 40), 3: (1, 45)}))
    one.entered([Range(0, 10, 20), Range(3, 0, 5)], 60)
    assert not one.counts([0], BEGUN)
    assert one.counts([0, 3], Ends(60, 1, {0: (20, 60), 3: (5, 60)}))
    one.entered([Range(0, 5, 15)], 70)  # an older range once more: the end is what it was
    assert one.counts([0], Ends(70, 1, {0: (20, 60)}))
    one.entered([Range(0, 15, 20)], 80)
    assert one.counts([0], Ends(80, 1, {0: (20, 80)}))


def test_it_is_full_at_16_bits_for_each() -> None:
    one = made(size_bytes=1 << 10)
    one.take(os.urandom(16 * 512))
    assert not one.is_full
    one.doubtful([os.urandom(16)])
    assert one.is_full
