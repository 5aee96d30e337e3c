"""A token is the one that is wanted, in either way of writing it, or it is not."""

from hashlib import sha256

import pytest

from spine.access import bearer, fits, is_loopback

TOKEN = "a_token_of_the_test"
DIGEST = "sha256:" + sha256(TOKEN.encode()).hexdigest()


@pytest.mark.parametrize("wanted", [TOKEN, DIGEST])
def test_a_token_fits_itself_and_nothing_else(wanted: str) -> None:
    assert fits(TOKEN, wanted)
    for other in ("", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), DIGEST, "\udcff", "ä"):
        assert not fits(other, wanted)


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer x", "x"),
        ("bearer  x ", "x"),
        ("Basic x", ""),
        ("Bearer", ""),
        ("x", ""),
        ("", ""),
    ],
)
def test_a_bearer_is_what_follows_the_word(header: str, token: str) -> None:
    assert bearer(header) == token


@pytest.mark.parametrize(
    ("listen", "local"),
    [
        ("127.0.0.1:1", True),
        ("127.8.8.8:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("[::ffff:127.0.0.1]:1", False),
        ("10.0.0.1:1", False),
        ("localhost.example:1", False),
    ],
)
def test_only_this_machine_reaches_loopback(listen: str, local: bool) -> None:
    assert is_loopback(listen) == local
