"""A body is unpacked within its bound, or not at all."""

import gzip
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.body import gunzip
from collector.decode import Unreadable

GOOD = b'{"name": "page_view", "event_id": "good"}'
GZIPPED = gzip.compress(GOOD, mtime=0)


@settings(deadline=None)
@given(st.binary())
def test_no_bytes_make_unpacking_raise(body: bytes) -> None:
    assert isinstance(gunzip(body, 1000), bytes | Unreadable)


def test_gzip_is_unpacked_up_to_its_bound() -> None:
    assert gunzip(gzip.compress(b"x" * 1000), 1000) == b"x" * 1000
    assert gunzip(gzip.compress(b""), 1000) == b""
    found = gunzip(gzip.compress(b"x" * 1001), 1000)
    assert isinstance(found, Unreadable)
    assert found.code == "body_too_large"


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(200_000_000), 9)
    found = gunzip(bomb, 1_000_000)
    assert isinstance(found, Unreadable)
    assert found.code == "body_too_large"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"x", GOOD, GZIPPED[:-1], GZIPPED[:12], b"\x1f\x8b",
        GZIPPED + b"x", GZIPPED + GZIPPED, zlib.compress(GOOD),
        GZIPPED[:-8] + bytes(8),
    ],
)  # fmt: skip
def test_what_is_not_exactly_one_gzip_stream_is_unreadable(body: bytes) -> None:
    found = gunzip(body, 1000)
    assert isinstance(found, Unreadable)
    assert found.code == "unreadable_body"
