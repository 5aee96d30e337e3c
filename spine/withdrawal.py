"""`Withdrawal`: what somebody has taken back of a consent, and given again since.

It is what lies on the control log, one value for each device or user of a site. Two of the same
subject are joined by the later time of each kind, so that order, repetition and several writers at
once end in the same value (P6), and nothing that was withdrawn is forgotten.
"""

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from spine.record import Digest, Milliseconds

EVERYTHING = "*"
"""Stands for all purposes, those too that nobody has named yet."""

_MOST_PURPOSES = 64  # of one subject: who may write for somebody must not let the value grow
_FOR_EVER_MS = 1 << 62
_decided = Annotated[tuple[Milliseconds, Milliseconds], Meta(description="withdrawn, granted")]
_Purpose = Annotated[str, Meta(pattern=r"^(\*|[A-Za-z0-9_.-]{1,64})\Z")]


class Withdrawn(NamedTuple):
    """The purposes that are withdrawn at a moment: those named, or all but those given again.

    Shape: hashable; `again` counts only with `everything`."""

    everything: bool = False
    purposes: frozenset[str] = frozenset()
    again: frozenset[str] = frozenset()

    def denies(self, purpose: str) -> bool:
        """Say whether this purpose is withdrawn."""
        return purpose in self.purposes or (self.everything and purpose not in self.again)

    def of(self, granted: frozenset[str]) -> frozenset[str]:
        """Give those of the purposes that are withdrawn."""
        return frozenset(filter(self.denies, granted))

    def also(self, other: "Withdrawn") -> "Withdrawn":
        """Give what is withdrawn by either."""
        both = self.everything and other.everything
        again = self.again & other.again if both else self.again | other.again
        purposes = self.purposes | other.purposes
        return Withdrawn(self.everything or other.everything, purposes, again - purposes)


NOTHING = Withdrawn()
"""Nothing is withdrawn, as for nearly everybody."""

ALL = Withdrawn(everything=True)
"""Whatever there may be is withdrawn."""


class Withdrawal(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="schema",
    tag="withdrawal.1",
):
    """When a subject last withdrew each purpose and when it last granted it.

    Shape: `subject` is the digest of an identifier (`spine.digest.identifier_id`) in hexadecimal;
    a time of 0 is never. Units: milliseconds since 1970 UTC, of the collectors' clocks."""

    subject: Digest
    purposes: dict[_Purpose, _decided]

    def join(self, other: "Withdrawal") -> "Withdrawal":
        """Give what both say; of one subject, in whatever order."""
        joined = dict(self.purposes)
        for purpose, (withdrawn_ms, granted_ms) in other.purposes.items():
            before = joined.get(purpose, (0, 0))
            joined[purpose] = (max(before[0], withdrawn_ms), max(before[1], granted_ms))
        if len(joined) > _MOST_PURPOSES:  # nobody has so many: from here on it is all of them
            joined = {EVERYTHING: (max(at_ms for at_ms, _ in joined.values()), 0)}
        return Withdrawal(self.subject, joined)

    def at(self, at_ms: int = _FOR_EVER_MS) -> Withdrawn:
        """Give what is withdrawn at a time, by default after all that was decided; a tie denies.

        Of several withdrawals of a purpose only the last one is known."""
        all_ms = self.purposes.get(EVERYTHING, (0, 0))[0]
        everything = 0 < all_ms <= at_ms
        purposes, again = set(), set()
        for purpose, (withdrawn_ms, granted_ms) in self.purposes.items():
            if purpose == EVERYTHING:
                continue
            since_ms = max(ms for ms in (0, all_ms, withdrawn_ms) if ms <= at_ms)
            if since_ms and not since_ms < granted_ms <= at_ms:
                purposes.add(purpose)
            elif everything:
                again.add(purpose)
        return Withdrawn(everything, frozenset(purposes), frozenset(again))


_decoder = msgspec.json.Decoder(Withdrawal)
_encoder = msgspec.json.Encoder(order="deterministic")


def encode_withdrawal(withdrawal: Withdrawal) -> bytes:
    """Give the bytes of a withdrawal; `decode_withdrawal` gives the same one back."""
    return _encoder.encode(withdrawal)


def decode_withdrawal(value: bytes) -> Withdrawal | None:
    """Read a value of the control log; nothing where it is none of this program's. Total."""
    try:
        return _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
