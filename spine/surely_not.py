"""`SurelyNot`: a filter in memory that says of a digest "surely not", or "perhaps"."""

_PROBES = (0, 32, 64, 96)


class SurelyNot:
    """Which digests were never added; of the others some are taken for added.

    Shape: digests of 16 bytes, whose bits are as good as random; 2^`bits` bits, which take memory
    as they are used."""

    def __init__(self, bits: int) -> None:
        self._mask = (1 << bits) - 1
        self._filter = bytearray(1 << (bits - 3))

    def add(self, digest: bytes) -> None:
        """Let a digest be no stranger."""
        number = int.from_bytes(digest)
        for shift in _PROBES:
            bit = number >> shift & self._mask
            self._filter[bit >> 3] |= 1 << (bit & 7)

    def may_hold(self, digest: bytes) -> bool:
        """Say whether a digest may have been added; False is sure."""
        number = int.from_bytes(digest)
        for shift in _PROBES:
            bit = number >> shift & self._mask
            if not self._filter[bit >> 3] & 1 << (bit & 7):
                return False
        return True
