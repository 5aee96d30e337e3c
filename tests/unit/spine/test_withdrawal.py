"""Withdrawals: joined in any order they say the same, and a tie denies."""

from functools import reduce
from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from spine.withdrawal import (
    ALL,
    EVERYTHING,
    NOTHING,
    Withdrawal,
    Withdrawn,
    decode_withdrawal,
    encode_withdrawal,
)
from spine.withdrawals import Withdrawals

SUBJECT = "ab" * 16
_purposes = st.sampled_from(("analytics", "ads", "crm"))
_times = st.integers(0, 6)
_withdrawals = st.builds(
    lambda purposes, all_ms: Withdrawal(
        SUBJECT, purposes | ({EVERYTHING: (all_ms, 0)} if all_ms else {})
    ),
    st.dictionaries(_purposes, st.tuples(_times, _times)),
    _times,
)
_sets = st.frozensets(_purposes)
_withdrawn = st.builds(
    lambda everything, purposes, again: Withdrawn(
        everything, purposes, again - purposes if everything else frozenset()
    ),
    st.booleans(),
    _sets,
    _sets,
)


def of(**purposes: tuple[int, int]) -> Withdrawal:
    return Withdrawal(SUBJECT, dict(purposes))


def everything(at_ms: int) -> Withdrawal:
    return Withdrawal(SUBJECT, {EVERYTHING: (at_ms, 0)})


@given(st.lists(_withdrawals, min_size=1), st.randoms())
def test_any_order_and_repetition_says_the_same(
    told: list[Withdrawal], chance: "st.DataObject"
) -> None:
    again = told + told[::2]
    chance.shuffle(again)  # type: ignore[attr-defined]
    assert reduce(Withdrawal.join, again) == reduce(Withdrawal.join, told)


@given(_withdrawals, _times)
def test_what_is_withdrawn_is_what_was_decided_last(told: Withdrawal, at_ms: int) -> None:
    all_ms = told.purposes.get(EVERYTHING, (0, 0))[0]
    for purpose in ("analytics", "ads", "crm", "never_named"):
        withdrawn_ms, granted_ms = told.purposes.get(purpose, (0, 0))
        decided = [(ms, True) for ms in (all_ms, withdrawn_ms) if 0 < ms <= at_ms]
        decided += [(granted_ms, False)] if 0 < granted_ms <= at_ms else []
        expected = max(decided)[1] if decided else False  # True is above False: a tie denies
        assert told.at(at_ms).denies(purpose) is expected


@given(_withdrawn, _withdrawn)
def test_either_of_two_subjects_denies(one: Withdrawn, other: Withdrawn) -> None:
    for purpose in ("analytics", "ads", "crm", "never_named"):
        assert one.also(other).denies(purpose) is (one.denies(purpose) or other.denies(purpose))


def test_a_later_grant_lifts_what_it_names_and_nothing_else() -> None:
    withdrawn = everything(5).join(of(analytics=(0, 6)))
    assert not withdrawn.at().denies("analytics")
    assert withdrawn.at().denies("ads")
    assert withdrawn.at(5).denies("analytics")
    assert everything(5).join(of(analytics=(0, 5))).at().denies("analytics"), "a tie"
    assert withdrawn.join(everything(7)).at().denies("analytics")
    assert withdrawn.at(4) == NOTHING
    assert ALL.of(frozenset({"a", "b"})) == {"a", "b"}


def test_a_subject_of_purposes_without_end_has_withdrawn_everything() -> None:
    told = reduce(Withdrawal.join, (of(**{f"p{number}": (3, 9)}) for number in range(200)))
    assert len(encode_withdrawal(told)) < 4096
    assert told.at().denies("p1")
    assert told.at().denies("whatever")


def test_bytes_come_back_as_the_same_withdrawal_and_others_are_none() -> None:
    told = everything(7).join(of(analytics=(1, 2)))
    assert decode_withdrawal(encode_withdrawal(told)) == told
    other = b'{"schema":"withdrawal.2","subject":"' + b"ab" * 16 + b'","purposes":{}}'
    for value in (b"", b"\xff", b"[" * 10_000, other, encode_withdrawal(told)[:-1]):
        assert decode_withdrawal(value) is None


def _subject(number: int) -> bytes:
    return blake2b(str(number).encode(), digest_size=16).digest()


def test_what_was_learnt_is_found_and_strangers_are_not() -> None:
    known = Withdrawals()
    assert known.find(_subject(0)) is None
    for number in range(500):
        known.learn(Withdrawal(_subject(number).hex(), {EVERYTHING: (number + 1, 0)}))
    assert known.count == 500
    for number in range(500):
        found = known.find(_subject(number))
        assert found is not None
        assert found.purposes == {EVERYTHING: (number + 1, 0)}
    assert not any(known.find(_subject(number)) for number in range(500, 5_000))
    subject = _subject(3).hex()
    joined = known.learn(Withdrawal(subject, {"ads": (9, 0)}))
    assert joined == Withdrawal(subject, {EVERYTHING: (4, 0), "ads": (9, 0)})
    assert known.find(_subject(3)) == joined
    assert known.count == 500
    known.close()
