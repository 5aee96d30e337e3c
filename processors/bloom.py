"""A set of digests that forgets what they are: it says "surely not added", or "perhaps".

What was added is never said to be surely not there: that is all who uses it may build upon.
"""

import numpy as np
import numpy.typing as npt

_WORD_BITS = 64
_BITS_SET = 4

Digests = npt.NDArray[np.uint32]
"""Digests, four words each, the first word first in their order."""


def digests_of(packed: bytes) -> Digests:
    """Read 16-byte digests that lie one after another."""
    return np.frombuffer(packed, ">u4").reshape(-1, 4)


class Bloom:
    """A Bloom filter of fixed size. The more is added, the oftener it says "perhaps": of what was
    not added 0.1, 0.5, 1.6, 9 % with 32, 16, 10.7, 5.4 bits for each that was.

    A digest sets four bits of one word of 64: one place in memory to look at. Where that is follows
    the order of the digests, so that adding sorted ones walks through memory once. Digests are
    evenly spread as they are, so that nothing is hashed again."""

    def __init__(self, size_bytes: int) -> None:
        self._words = np.zeros(max(size_bytes * 8 // _WORD_BITS, 1), np.uint64)

    def add(self, digests: Digests) -> None:
        """Take them in."""
        places, bits = self._places(digests)
        np.bitwise_or.at(self._words, places, bits)

    def holds(self, digests: Digests) -> npt.NDArray[np.bool_]:
        """Say of each whether it may have been added; False is sure."""
        places, bits = self._places(digests)
        held: npt.NDArray[np.bool_] = (self._words[places] & bits) == bits
        return held

    def _places(self, digests: Digests) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        first, second = digests[:, 0].astype(np.uint64), digests[:, 1].astype(np.uint64)
        bits = np.zeros(len(digests), np.uint64)
        for nth in range(_BITS_SET):
            bits |= np.uint64(1) << (second >> np.uint64(6 * nth) & np.uint64(_WORD_BITS - 1))
        return (first * np.uint64(len(self._words))) >> np.uint64(32), bits
