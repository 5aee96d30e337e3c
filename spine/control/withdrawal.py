"""`Withdrawal`: when somebody took back a consent, and when they gave it again.

It is what lies on the control log, one value for each device or user of a site. Two of the same
subject are joined as sets of decisions, so that order, repetition and several writers at once end
in the same value (P6), and nothing that was withdrawn is forgotten.
"""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from spine.record import Digest

EVERYTHING = "*"
"""Stands for all purposes, those too that nobody has named yet."""

# Of one subject: whoever may write for somebody must not let the value grow.
_MOST_PURPOSES = 64
_MOST_DECISIONS = 16
_FOR_EVER_MS = 1 << 62
# Twice the milliseconds since 1970, and one more for a withdrawal: at a tie it comes last.
_Decision = Annotated[int, Meta(ge=0, le=2 * 4_102_444_800_000 + 1)]
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
    """The decisions of a subject about each purpose, in order.

    Shape: `subject` is the digest of an identifier (`spine.digest.identifier_id`) in hexadecimal;
    `decided` is made by `decision`. Nobody ever grants everything."""

    subject: Digest
    decided: dict[_Purpose, tuple[_Decision, ...]]

    @property
    def control_key(self) -> bytes:
        """Under which its last value stays on the control log."""
        return bytes.fromhex(self.subject)

    def join(self, other: "Withdrawal") -> "Withdrawal":
        """Give what both say; of one subject, in whatever order.

        Beyond a bound the oldest decisions about a purpose go, and beyond a bound of purposes
        everything is withdrawn since the first of all decisions."""
        joined = dict(self.decided)
        for purpose, told in other.decided.items():
            before = joined.get(purpose, ())
            joined[purpose] = tuple(sorted({*before, *told}))[-_MOST_DECISIONS:]
        if len(joined) > _MOST_PURPOSES:  # nobody has so many
            first = min(told[0] for told in joined.values() if told)
            joined = {EVERYTHING: (first | 1,)}
        return Withdrawal(self.subject, joined)

    @property
    def granted_ms(self) -> int:
        """When something was granted last; 0 is never."""
        return max(
            (one >> 1 for told in self.decided.values() for one in told if not one & 1), default=0
        )

    def at(self, at_ms: int = _FOR_EVER_MS) -> Withdrawn:
        """Give what is withdrawn at a time, by default after all that was decided; a tie denies."""
        all_of_it = self.decided.get(EVERYTHING, ())
        everything = _denies(all_of_it, at_ms)
        purposes, again = set(), set()
        for purpose, told in self.decided.items():
            if purpose == EVERYTHING:
                continue
            if _denies((*all_of_it, *told), at_ms):
                purposes.add(purpose)
            elif everything:
                again.add(purpose)
        return Withdrawn(everything, frozenset(purposes), frozenset(again))


def decision(at_ms: int, *, withdrawn: bool) -> int:
    """Give a decision as `Withdrawal` has it."""
    return at_ms << 1 | withdrawn


def _denies(told: Sequence[int], at_ms: int) -> bool:
    until = max((one for one in told if one >> 1 <= at_ms), default=None)
    if until is not None:
        return bool(until & 1)
    # What came before the oldest that is known, is not known: where much was decided, denied.
    return len(told) >= _MOST_DECISIONS


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
