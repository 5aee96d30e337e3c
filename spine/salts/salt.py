"""`Salt`: what the visitor ids of one site's day are made with, as it lies on the log of salts.

There it is half of one: the salt itself is made of it with the key of erasures, so that neither
who reads the log nor who has the key can make an id alone. When the log has let go of it, nobody
can any more.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from spine.record import Milliseconds

LINGERS_MS = 3_600_000
"""How long a salt is kept after its day, for collectors whose clock is behind."""

_Hex16 = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
_Hex64 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Salt(msgspec.Struct, frozen=True, tag_field="schema", tag="salt.1"):
    """The half salt of a site's day.

    Shape: `half` is 32 random bytes in hexadecimal, `key` names the key that makes it whole. Units:
    `day` is of the site's time zone, in days since 1970; `ends_ms` is when it ends, milliseconds
    since 1970 UTC."""

    site: str
    day: Annotated[int, Meta(ge=0, le=65_535)]
    ends_ms: Milliseconds
    key: _Hex16
    half: _Hex64

    @property
    def control_key(self) -> bytes:
        """Under which it is appended."""
        return f"{self.site} {self.day}".encode()

    def is_over(self, now_ms: int) -> bool:
        """Say whether nobody may keep it any more."""
        return now_ms >= self.ends_ms + LINGERS_MS


_decoder = msgspec.json.Decoder(Salt)
_encoder = msgspec.json.Encoder()


def encode_salt(salt: Salt) -> bytes:
    """Give the bytes of a salt; `decode_salt` gives it back."""
    return _encoder.encode(salt)


def decode_salt(value: bytes) -> Salt | None:
    """Read a value of the log of salts; nothing where it is none of this program's. Total."""
    try:
        return _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
