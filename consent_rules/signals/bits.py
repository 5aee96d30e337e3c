"""Whole numbers from the bits of a base64url text, as IAB's strings have them."""

import re
from base64 import urlsafe_b64decode

_ALPHABET = re.compile(r"[A-Za-z0-9_-]+")


class Bits:
    """Reads on from left to right, bit 0 first; beyond the end it is `broken`, and zeros.

    Shape: `text` has a character `0` or `1` for each bit, of which a part is found many times
    faster than by shifting a great number.
    Source: IAB TCF v2.3, consent string format: six bits a character, without padding."""

    __slots__ = ("at", "broken", "text")

    def __init__(self, text: str) -> None:
        whole = int.from_bytes(urlsafe_b64decode(text + "A" * (-len(text) % 4)))
        length = 6 * len(text)
        self.text = f"{whole:0{length + -length % 24}b}"[:length]
        self.at = 0
        self.broken = False

    @classmethod
    def of(cls, text: str) -> "Bits | None":
        """Give the bits of a text, or nothing when it is empty or not base64url."""
        return cls(text) if _ALPHABET.fullmatch(text) else None

    def skip(self, width: int) -> str:
        """Give the next `width` bits as they stand, or none."""
        found = self.text[self.at : self.at + width]
        self.at += width
        if len(found) == width:
            return found
        self.broken = True
        return ""

    def take(self, width: int) -> int:
        """Give the number that the next `width` bits are."""
        return int(self.skip(width) or "0", 2)

    def take_set(self, width: int) -> frozenset[int]:
        """Give which of the next `width` bits are 1, the first being number 1."""
        return frozenset([n for n, bit in enumerate(self.skip(width), 1) if bit == "1"])
