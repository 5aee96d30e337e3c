"""Whole numbers from the bits of a base64url text, as IAB's strings have them."""

import re
from base64 import urlsafe_b64decode

_ALPHABET = re.compile(r"[A-Za-z0-9_-]+")


class Bits:
    """Reads on from left to right, bit 0 first; beyond the end it is `broken`, and zeros.

    Source: IAB TCF v2.3, consent string format: six bits a character, without padding."""

    __slots__ = ("_bytes", "_end", "at", "broken")

    def __init__(self, text: str) -> None:
        self._bytes = urlsafe_b64decode(text + "A" * (-len(text) % 4))
        self._end = 6 * len(text)
        self.at = 0
        self.broken = False

    @classmethod
    def of(cls, text: str) -> "Bits | None":
        """Give the bits of a text, or nothing when it is empty or not base64url."""
        return cls(text) if _ALPHABET.fullmatch(text) else None

    def take(self, width: int) -> int:
        """Give the number that the next `width` bits are."""
        end = self.at + width
        first, last = self.at >> 3, end + 7 >> 3
        self.at = end
        if end > self._end:
            self.broken = True
            return 0
        return int.from_bytes(self._bytes[first:last]) >> (last << 3) - end & (1 << width) - 1

    def take_set(self, width: int) -> frozenset[int]:
        """Give which of the next `width` bits are 1, the first being number 1."""
        field = self.take(width)
        return frozenset([n for n in range(1, width + 1) if field >> width - n & 1])
