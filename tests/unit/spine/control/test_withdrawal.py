"""Withdrawals: joined in any order they say the same, and a tie denies."""

import random
from collections.abc import Iterable, Mapping
from functools import reduce
from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from spine.control.withdrawal import (
    ALL,
    EVERYTHING,
    NOTHING,
    Withdrawal,
    Withdrawn,
    decision,
    decode_withdrawal,
    encode_withdrawal,
)
from spine.control.withdrawals import Withdrawals

SUBJECT = "ab" * 16
_purposes = st.sampled_from(("analytics", "ads", "crm"))
_times = st.integers(1, 6)
_decisions = st.frozensets(st.tuples(_times, st.booleans()), max_size=8)


def withdrawal(decided: Mapping[str, Iterable[tuple[int, bool]]]) -> Withdrawal:
    """Of each purpose when, and whether it was withdrawn."""
    return Withdrawal(
        SUBJECT,
        {
            purpose: tuple(
                sorted(decision(at_ms, withdrawn=withdrawn) for at_ms, withdrawn in told)
            )
            for purpose, told in decided.items()
        },
    )


_withdrawals = st.builds(
    lambda purposes, all_of_it: withdrawal(
        purposes | {EVERYTHING: {(at_ms, True) for at_ms in all_of_it}}
    ),
    st.dictionaries(_purposes, _decisions),
    st.frozensets(_times),
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


def of(**decided: tuple[int, bool]) -> Withdrawal:
    return withdrawal({purpose: [one] for purpose, one in decided.items()})


def everything(at_ms: int) -> Withdrawal:
    return withdrawal({EVERYTHING: [(at_ms, True)]})


@given(st.lists(_withdrawals, min_size=1), st.randoms())
def test_any_order_and_repetition_says_the_same(
    told: list[Withdrawal], chance: random.Random
) -> None:
    again = told + told[::2]
    chance.shuffle(again)
    assert reduce(Withdrawal.join, again) == reduce(Withdrawal.join, told)


@given(_withdrawals, _times)
def test_what_is_withdrawn_is_what_was_decided_last(told: Withdrawal, at_ms: int) -> None:
    for purpose in ("analytics", "ads", "crm", "never_named"):
        decided = [*told.decided[EVERYTHING], *told.decided.get(purpose, ())]
        states = [(one // 2, bool(one % 2)) for one in decided if one // 2 <= at_ms]
        expected = max(states)[1] if states else False  # True is above False: a tie denies
        assert told.at(at_ms).denies(purpose) is expected


@given(_withdrawn, _withdrawn)
def test_either_of_two_subjects_denies(one: Withdrawn, other: Withdrawn) -> None:
    for purpose in ("analytics", "ads", "crm", "never_named"):
        assert one.also(other).denies(purpose) is (one.denies(purpose) or other.denies(purpose))


def test_a_later_grant_lifts_what_it_names_and_nothing_else() -> None:
    withdrawn = everything(5).join(of(analytics=(6, False)))
    assert not withdrawn.at().denies("analytics")
    assert withdrawn.at().denies("ads")
    assert withdrawn.at(5).denies("analytics")
    assert everything(5).join(of(analytics=(5, False))).at().denies("analytics"), "a tie"
    assert withdrawn.join(everything(7)).at().denies("analytics")
    assert withdrawn.at(4) == NOTHING
    assert withdrawn.granted_ms == 6
    assert ALL.of(frozenset({"a", "b"})) == {"a", "b"}


def test_what_was_forbidden_once_stays_so_whatever_is_decided_later() -> None:
    changing = [everything(5), of(ads=(7, False)), everything(9), of(ads=(11, False))]
    told = reduce(Withdrawal.join, changing)
    assert [told.at(ms).denies("ads") for ms in (4, 5, 6, 7, 8, 9, 10, 11, 12)] == [
        False, True, True, False, False, True, True, False, False,
    ]  # fmt: skip


def test_a_subject_of_decisions_without_end_is_bounded_and_denied_where_nothing_is_known() -> None:
    told = reduce(Withdrawal.join, (of(ads=(ms, ms % 2 == 0)) for ms in range(1, 500)))
    assert len(encode_withdrawal(told)) < 1024
    assert not told.at().denies("ads")
    assert told.at(498).denies("ads")
    assert told.at(2).denies("ads")
    assert told.at(1).denies("ads")
    named = reduce(Withdrawal.join, (of(**{f"p{number}": (3, False)}) for number in range(200)))
    assert len(encode_withdrawal(named)) < 8192
    assert named.at().denies("whatever")


def test_bytes_come_back_as_the_same_withdrawal_and_others_are_none() -> None:
    told = everything(7).join(of(analytics=(2, False)))
    assert decode_withdrawal(encode_withdrawal(told)) == told
    other = b'{"schema":"withdrawal.2","subject":"' + b"ab" * 16 + b'","decided":{}}'
    for value in (b"", b"\xff", b"[" * 10_000, other, encode_withdrawal(told)[:-1]):
        assert decode_withdrawal(value) is None


def _subject(number: int) -> bytes:
    return blake2b(str(number).encode(), digest_size=16).digest()


def test_what_was_learnt_is_found_and_strangers_are_not() -> None:
    known = Withdrawals()
    assert known.find(_subject(0)) is None
    for number in range(500):
        known.learn(Withdrawal(_subject(number).hex(), {EVERYTHING: (number,)}))
    assert known.count == 500
    for number in range(500):
        found = known.find(_subject(number))
        assert found is not None
        assert found.decided == {EVERYTHING: (number,)}
    assert not any(known.find(_subject(number)) for number in range(500, 5_000))
    subject = _subject(3).hex()
    joined = known.learn(Withdrawal(subject, {"ads": (9,)}))
    assert joined == Withdrawal(subject, {EVERYTHING: (3,), "ads": (9,)})
    assert known.find(_subject(3)) == joined
    assert known.count == 500
    known.close()
