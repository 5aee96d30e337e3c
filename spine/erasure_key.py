"""`ErasureKey`: the secret without which nobody can tell who was erased, or forge a receipt.

An identifier's digest can be guessed by whoever guesses the identifier; under a key it cannot.
Several keys are made of the secret, for marks, receipts and salts of a day, so that a store that
was handed the first one cannot sign.
"""

import hmac
import os
import secrets
from pathlib import Path

from spine.durable import sync_directory
from spine.errors import Misconfigured
from spine.settings import ErasureSettings

KEY_FILE = "erasure.key"
"""The name of the key's file in `data_dir` on one machine."""

_LEAST_CHARACTERS = 32
_BLOCK_BYTES = 64  # of SHA-256, as HMAC has it


class ErasureKey:
    """What marks identifiers, signs receipts, and makes salts whole."""

    def __init__(self, secret: bytes) -> None:
        self.name = self._made(secret, "name").hex()[:16]
        self._marking = self._made(secret, "marks")
        self._signing = self._made(secret, "receipts")
        self._salting = self._made(secret, "salts")

    @staticmethod
    def _made(secret: bytes, purpose: str) -> bytes:
        return hmac.digest(secret, f"beleg erasure {purpose}".encode(), "sha256")

    def mark(self, subject: bytes) -> bytes:
        """Give the keyed hash of an identifier's digest. Shape: 16 bytes."""
        return hmac.digest(self._marking, subject, "sha256")[:16]

    def sign(self, content: bytes) -> str:
        """Give the signature of a receipt, in hexadecimal."""
        return hmac.digest(self._signing, content, "sha256").hex()

    def salt(self, half: bytes) -> bytes:
        """Make the salt of a half one. Shape: 32 bytes."""
        return hmac.digest(self._salting, half, "sha256")

    @property
    def pads(self) -> tuple[str, str]:
        """The two blocks that stand before what is hashed, for a store that makes marks itself:
        SHA256(outer || SHA256(inner || digest)), the first 16 bytes. Shape: hexadecimal.
        Source: RFC 2104."""
        block = self._marking.ljust(_BLOCK_BYTES, b"\x00")
        inner, outer = (bytes(byte ^ pad for byte in block) for pad in (0x36, 0x5C))
        return inner.hex(), outer.hex()


def key_of(settings: ErasureSettings, data_dir: Path, *, makes: bool) -> ErasureKey | None:
    """Give the key that the settings name; on one machine, that `makes` it, the one in `data_dir`.

    Nothing where there is none: then nobody can be erased. Raises: Misconfigured."""
    if settings.key:
        return ErasureKey(settings.key.encode())
    if settings.key_file:
        return _read(Path(settings.key_file))
    own = data_dir / KEY_FILE
    if makes:
        _make(own)
    return _read(own) if own.exists() else None


def _read(path: Path) -> ErasureKey:
    try:
        secret = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured("erasure.key_file", f"{path} cannot be read: {error}") from error
    if len(secret) < _LEAST_CHARACTERS:
        raise Misconfigured(
            "erasure.key_file", f"{path} needs at least {_LEAST_CHARACTERS} characters"
        )
    return ErasureKey(secret.encode())


def _make(path: Path) -> None:
    """Make a key that nobody else may read, unless there is one. Raises: Misconfigured."""
    if path.exists():
        return
    aside = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise Misconfigured("data_dir", f"{path} cannot be written: {error.strerror}") from error
