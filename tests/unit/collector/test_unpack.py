"""A packed body is unpacked within its bound, or not at all."""

import gzip
import time
import zlib
from collections.abc import Callable

import brotli
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.decode import Unreadable
from collector.unpack import unpacked

GOOD = b'{"name": "page_view", "event_id": "good"}'
GZIPPED = gzip.compress(GOOD, mtime=0)


def _bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "deflate in zlib": ("deflate", zlib.compress),
    "bare deflate": ("deflate", _bare),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstd.compress),
}
EVERY_ENCODING = pytest.mark.parametrize(("encoding", "pack"), PACKERS.values(), ids=PACKERS)


def refused(body: bytes, encoding: str, max_bytes: int) -> str:
    found = unpacked(body, encoding, max_bytes)
    assert isinstance(found, Unreadable)
    return found.code


@given(st.binary(), st.sampled_from(["gzip", "deflate", "br", "zstd"]))
def test_no_bytes_make_unpacking_raise(body: bytes, encoding: str) -> None:
    found = unpacked(body, encoding, 1000)
    assert isinstance(found, Unreadable) or len(found) <= 1000


@EVERY_ENCODING
@settings(max_examples=30)
@given(data=st.binary(max_size=2000), at=st.integers(0, 3000), put=st.binary(max_size=3))
def test_what_is_spoiled_is_refused_or_what_it_was(
    encoding: str, pack: Callable[[bytes], bytes], data: bytes, at: int, put: bytes
) -> None:
    packed = pack(data)
    found = unpacked(packed[:at] + put + packed[at + len(put) :], encoding, 2000)
    assert isinstance(found, Unreadable) or len(found) <= 2000
    assert unpacked(packed, encoding, 2000) == data


@EVERY_ENCODING
def test_a_body_is_unpacked_up_to_its_bound(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    for size in (0, 1, 1000, 300_000):
        data = bytes(range(250)) * (size // 250)
        assert unpacked(pack(data), encoding, len(data)) == data
        if data:
            assert refused(pack(data), encoding, len(data) - 1) == "body_too_large"


@EVERY_ENCODING
def test_a_bomb_costs_no_more_than_a_body_of_the_allowed_size(
    encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    bomb = pack(bytes(8_000_000))
    began_at = time.process_time()
    assert refused(bomb, encoding, 1_048_576) == "body_too_large"
    assert time.process_time() - began_at < 0.1  # a few milliseconds where nothing else runs


@EVERY_ENCODING
def test_what_is_cut_off_or_has_something_behind_it_is_unreadable(
    encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    packed = pack(GOOD)
    for body in (b"", packed[:-1], packed[: len(packed) // 2], packed + b"x", packed + packed):
        assert refused(body, encoding, 1000) == "unreadable_body"


@pytest.mark.parametrize(
    "body", [b"x", GOOD, b"\x1f\x8b", zlib.compress(GOOD), GZIPPED[:-8] + bytes(8)]
)
def test_what_is_no_gzip_is_unreadable(body: bytes) -> None:
    assert refused(body, "gzip", 1000) == "unreadable_body"


def test_zstd_that_wants_to_look_back_further_than_8_mib_is_unreadable() -> None:
    options = {int(zstd.CompressionParameter.window_log): 27}
    packer = zstd.ZstdCompressor(options=options)
    packed = packer.compress(GOOD) + packer.flush()  # without its size, so with the whole window
    assert refused(packed, "zstd", 1000) == "unreadable_body"


@pytest.mark.parametrize("window_bits", range(10, 25))
def test_brotli_that_wants_to_look_back_further_than_4_mib_is_unreadable(window_bits: int) -> None:
    packed = brotli.compress(GOOD * 10, lgwin=window_bits)
    found = unpacked(packed, "br", 1000)
    assert found == GOOD * 10 if window_bits <= 22 else isinstance(found, Unreadable)
