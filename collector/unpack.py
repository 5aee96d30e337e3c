"""Packed bodies → what is in them, never more than allowed, whatever they claim.

Unpacking stops at the bound, so a bomb costs what a body of the allowed size costs. Encodings on
top of each other are refused: no client sends them, and each would unpack what the one before it
blew up.
"""

import sys
import zlib
from collections.abc import Callable, Mapping

import brotli

from collector.decode import Unreadable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_STEP_BYTES = 65_536
# Memory for looking back: what RFC 8878 (section 3.1.1.1.2) asks decoders to support, 8 MiB.
_ZSTD = {int(zstd.DecompressionParameter.window_log_max): 23}
# 4 MiB, the default of its encoders. Source: RFC 7932, section 9.1 (WBITS).
_BROTLI_WINDOW_BITS = 22
_BROKEN = (zlib.error, brotli.error, zstd.ZstdError)


def _gzip(body: bytes, most: int) -> tuple[bytes, bool]:
    return _zlib(body, most, 31)


def _deflate(body: bytes, most: int) -> tuple[bytes, bool]:
    """Unpack zlib's format, as HTTP means it, or bare deflate, as some clients send it.

    Source: RFC 9110, section 8.4.1.2; RFC 1950, section 2.2."""
    zlibs = len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2]) % 31 == 0
    return _zlib(body, most, 15 if zlibs else -15)


def _zlib(body: bytes, most: int, window_bits: int) -> tuple[bytes, bool]:
    unpacker = zlib.decompressobj(wbits=window_bits)
    return unpacker.decompress(body, most), unpacker.eof and not unpacker.unused_data


def _brotli(body: bytes, most: int) -> tuple[bytes, bool]:
    if body and body[0] & 1 and (body[0] >> 1 & 7) > _BROTLI_WINDOW_BITS - 17:
        raise brotli.error  # 77 bytes with the largest window cost 29 ms
    unpacker = brotli.Decompressor()
    unpacked = bytearray(unpacker.process(body, output_buffer_limit=_STEP_BYTES))
    while len(unpacked) < most and not unpacker.is_finished():
        some = unpacker.process(b"", output_buffer_limit=_STEP_BYTES)
        if not some:
            break
        unpacked += some
    return bytes(unpacked[:most]), unpacker.is_finished()


def _zstd(body: bytes, most: int) -> tuple[bytes, bool]:
    unpacker = zstd.ZstdDecompressor(options=_ZSTD)
    return unpacker.decompress(body, most), unpacker.eof and not unpacker.unused_data


_UNPACKERS: Mapping[str, Callable[[bytes, int], tuple[bytes, bool]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}


def knows(encoding: str) -> bool:
    """Say whether bodies in an encoding can be unpacked."""
    return encoding in _UNPACKERS


def unpacked(body: bytes, encoding: str, max_bytes: int) -> bytes | Unreadable:
    """Give what is in a body of a known encoding, of at most `max_bytes`."""
    try:
        content, whole = _UNPACKERS[encoding](body, max_bytes + 1)
    except _BROKEN:
        return Unreadable("unreadable_body", f"the body is not {encoding}")
    if len(content) > max_bytes:
        return Unreadable("body_too_large", f"the body unpacks to more than {max_bytes} bytes")
    if not whole:
        return Unreadable(
            "unreadable_body", f"the {encoding} body is cut off or has something behind it"
        )
    return content
