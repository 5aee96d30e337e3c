"""The filter of digests: what was added is never said to be surely new."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.bloom import Bloom, digests_of


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=1), st.integers(0, 4_096))
def test_what_was_added_is_always_held(digests: list[bytes], size_bytes: int) -> None:
    bloom = Bloom(size_bytes)
    for first in range(0, len(digests), 3):
        bloom.add(digests_of(b"".join(digests[first : first + 3])))
    assert bloom.holds(digests_of(b"".join(digests))).all()


@pytest.mark.parametrize(("bits", "at_most"), [(32, 0.002), (16, 0.008), (10.7, 0.022)])
def test_it_doubts_as_rarely_as_it_says(bits: float, at_most: float) -> None:
    count = 200_000
    bloom = Bloom(int(count * bits / 8))
    bloom.add(digests_of(os.urandom(16 * count)))
    assert bloom.holds(digests_of(os.urandom(16 * count))).mean() < at_most
