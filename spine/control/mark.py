"""`Mark`: up to when one identifier was erased; whose it is, is known only to who has the key.

Marks lie on the control log beside withdrawals, one value for each identifier, kept for ever: they
are why neither a replay, a backup nor a backfill can bring somebody back.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from spine.control.withdrawal import Withdrawal
from spine.record import Digest, Milliseconds

NEVER_MS = -1
"""Stands for no mark: no event is as old as that."""

_Hex16 = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]


class Mark(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="schema", tag="erasure.1"
):
    """Whatever carries this identifier and is not later than `at_ms` is erased.

    Shape: `mark` is the keyed hash of the identifier's digest (`ErasureKey.mark`), `key` names the
    key, `erasure` the erasure, `why` is the operator's word. Units: milliseconds since 1970 UTC."""

    mark: Digest
    at_ms: Milliseconds
    erasure: _Hex16
    site: str
    key: _Hex16
    why: Annotated[str, Meta(max_length=200)] = ""

    @property
    def control_key(self) -> bytes:
        """Under which its last value stays on the control log."""
        return bytes.fromhex(self.mark)

    def join(self, other: "Mark") -> "Mark":
        """Give what both say, in whatever order: the later one reaches as far as both."""
        return max(self, other, key=lambda one: (one.at_ms, one.erasure))


Told = Withdrawal | Mark
"""What stands on the control log."""

_decoder: msgspec.json.Decoder[Told] = msgspec.json.Decoder(Told)
_mark_decoder = msgspec.json.Decoder(Mark)
_encoder = msgspec.json.Encoder(order="deterministic")


def encode_told(told: Told) -> bytes:
    """Give the bytes of a value of the control log; `decode_told` gives it back."""
    return _encoder.encode(told)


def decode_told(value: bytes) -> Told | None:
    """Read a value of the control log; nothing where it is none of this program's. Total."""
    try:
        return _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def decode_mark(value: bytes) -> Mark:
    """Read a mark that `encode_told` wrote."""
    return _mark_decoder.decode(value)
