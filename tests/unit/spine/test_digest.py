"""Digests are the names of everything stored: these values may never change."""

from hypothesis import given
from hypothesis import strategies as st

from spine import digest


def test_digests_are_what_they_were() -> None:
    key = digest.event_key("shop", "purchase", "e-1")
    assert key.hex() == "67edbe0a9ed7cbfc1d837a2ccc0d04fe"
    assert digest.identity(key, "browser").hex() == "67edbe0a9ed7cbfc1d837a2ccc0d0401"
    assert digest.identity(key, "server").hex() == "67edbe0a9ed7cbfc1d837a2ccc0d0402"
    assert digest.visitor_id("shop", "a-1", "u-1") == digest.visitor_id("shop", "a-1", None)
    assert (
        digest.identifier_id("shop", "anonymous_id", "a-1").hex()
        == "d4a71a1ed08fbce665d6d2b6d416a665"
    )
    assert (
        digest.identifier_id("shop", "user_id", "ü-1").hex() == "ad5fb9a1f2ecfacb4fdf7b6faea2d37a"
    )
    assert (
        digest.identifier_id("shop", "transaction_id", "t-1").hex()
        == "5b2f44a3798e5b452752d58adac3460a"
    )
    assert digest.tally_identity("c", "b", 7).hex() == "41d5f72968219bb57bbb34fbd1f5a9fc"
    assert digest.body_digest(b"a", b"b").hex() == "ffc151170352baa3"
    assert digest.record_digest(b"record").hex() == "17e2eb33591be05b0021d963c35ad32d"
    assert digest.partition_of(key, 12) == 0


def test_a_visitor_is_the_anonymous_id_else_the_user_id_else_nobody() -> None:
    by_device = digest.identifier_id("shop", "anonymous_id", "x")
    by_user = digest.identifier_id("shop", "user_id", "x")
    assert digest.visitor_id("shop", "x", "y") == by_device
    assert digest.visitor_id("shop", None, "x") == by_user
    assert digest.visitor_id("shop", None, None) is None
    assert by_device != by_user


@given(st.tuples(*[st.text(max_size=12)] * 3), st.tuples(*[st.text(max_size=12)] * 3))
def test_no_choice_of_parts_imitates_another(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    assert (digest.event_key(*one) == digest.event_key(*other)) == (one == other)


@given(st.text(alphabet="0123456789:ab", max_size=8), st.text(alphabet="0123456789:ab", max_size=8))
def test_a_part_cannot_be_moved_into_its_neighbour(left: str, right: str) -> None:
    for cut in range(len(left) + 1):
        moved = (left[:cut], left[cut:] + right)
        same = moved == (left, right)
        assert (digest.event_key("s", *moved) == digest.event_key("s", left, right)) == same


@given(st.binary(min_size=16, max_size=16), st.integers(1, 64))
def test_a_key_lies_in_one_of_the_partitions(key: bytes, partitions: int) -> None:
    assert 0 <= digest.partition_of(key, partitions) < partitions
