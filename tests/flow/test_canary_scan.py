"""The canary scan finds a canary in every spelling it claims to know, and nothing else."""

import base64
import hashlib
import struct
from collections.abc import Callable
from ipaddress import IPv6Address
from urllib.parse import quote

import lz4.block
import pytest
import zstandard

from tests.canary import Canaries, Place, decompressed, found_in

Spelling = Callable[[str], bytes]


def in_base64(before: int) -> Spelling:
    return lambda text: base64.b64encode(b"?" * before + text.encode() + b"after it")


def digested(name: str, change: Callable[[str], str] = str) -> Spelling:
    return lambda text: hashlib.new(name, change(text).encode()).hexdigest().encode()


def sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


DIGESTS = ("md5", "sha1", "sha256", "sha512", "blake2b")
SPELLINGS: dict[str, Spelling] = {
    "raw": lambda text: text.encode(),
    "in capitals": lambda text: text.upper().encode(),
    "URL-encoded": lambda text: quote(text, safe="").encode(),
    "all of it encoded": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()).encode(),
    "hex": lambda text: text.encode().hex().encode(),
    "hex in capitals": lambda text: text.encode().hex().upper().encode(),
    **{f"base64 behind {before} bytes": in_base64(before) for before in range(4)},
    "base64 for addresses": lambda text: base64.urlsafe_b64encode(b"\xff\xfe" + text.encode()),
    **{name: digested(name) for name in DIGESTS},
    **{f"{name} of lower case": digested(name, str.lower) for name in DIGESTS},
    "sha256 in capitals": lambda text: sha256(text).hex().upper().encode(),
    "sha256 in base64": lambda text: base64.b64encode(sha256(text)),
    "blake2b of 16 bytes": lambda text: (
        hashlib.blake2b(text.encode(), digest_size=16).hexdigest().encode()
    ),
}


def found(canaries: Canaries, content: bytes) -> bool:
    return bool(found_in([Place("file", "f", content)], canaries))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_canary_is_found_however_it_is_written(spelling: str) -> None:
    canaries, others = Canaries(), Canaries()
    for canary in (canaries.sing(), canaries.mail(), canaries.sing("https://x.example/?q={}")):
        content = b"\x00 before: " + SPELLINGS[spelling](canary) + b" behind \xff"
        assert found(canaries, content), canary
        others.sing()
        assert not found(others, content)


def test_an_address_is_found_whole_cut_and_packed() -> None:
    canaries = Canaries()
    packed = IPv6Address(canaries.address).packed
    for content in (
        canaries.address.encode(),
        IPv6Address(canaries.address).exploded.upper().encode(),
        str(IPv6Address(packed[:6] + bytes(10))).encode(),
        packed,
        packed.hex().encode(),
        canaries.old_address.encode(),
        canaries.old_address.rpartition(".")[0].encode() + b".0",
        base64.b64encode(b"ip=" + canaries.old_address.encode()),
    ):
        assert found(canaries, b"x " + content + b" y")
        assert not found(Canaries(), b"x " + content + b" y")


def block(method: int, packed: bytes, whole: int) -> bytes:
    return bytes(16) + struct.pack("<BII", method, len(packed) + 9, whole) + packed


def test_what_the_engine_has_compressed_is_taken_apart() -> None:
    texts = [f"{number} canary, again and again; ".encode() * 9 for number in range(3)]
    column = (
        block(0x82, lz4.block.compress(texts[0], store_size=False), len(texts[0]))
        + block(0x90, zstandard.compress(texts[1]), len(texts[1]))
        + block(0x02, texts[2], len(texts[2]))
    )
    assert list(decompressed(column)) == texts
