"""Who is one person, by the set of evidence alone, with every guard in the order of time."""

import json
from pathlib import Path
from typing import Any

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.identity.graph import DEVICE, KINDS, RANKS, Evidence, Resolved, Slice, resolve
from tests.unit.processors import person_model

DAY_MS = 86_400_000
CASES = json.loads(Path(__file__).with_name("guarded_merge_cases.json").read_text())["cases"]


def key(name: str) -> bytes:
    return name.encode().ljust(16, b".")


def kind_of(one: bytes) -> str:
    return {"u": "user_id", "c": "crm_id", "e": "email_sha256", "p": "phone_sha256"}.get(
        one.decode()[0], DEVICE
    )


def told(at_ms: int, *names: str, weak: bool = False) -> list[Evidence]:
    """Give the evidence of one event."""
    hub, *others = sorted(map(key, names), key=lambda one: RANKS[kind_of(one)])
    identity = f"{at_ms}{''.join(names)}".encode()
    return [Evidence(at_ms, identity, hub, other, "server", weak) for other in others]


def resolved(evidence: list[Evidence]) -> Resolved:
    kinds = {end: kind_of(end) for one in evidence for end in (one.hub, one.other)}
    return resolve(evidence, kinds)


def persons(found: Resolved) -> list[list[str]]:
    groups: dict[bytes, set[str]] = {}
    for name, slices in found.slices.items():
        for one in slices:
            groups.setdefault(one.person, set()).add(name.decode().rstrip("."))
    return sorted(sorted(group) for group in groups.values())


def whose(found: Resolved, name: str) -> list[tuple[int | None, str]]:
    return [(one.since_ms, one.person.decode().rstrip(".")) for one in found.slices[key(name)]]


@st.composite
def events(draw: st.DrawFn) -> list[Evidence]:
    """Few names of each kind, near in time, so that every guard has something to do."""
    found: list[Evidence] = []
    name = st.integers(0, 9)
    for at_ms, some, weak in draw(
        st.lists(
            st.tuples(
                st.sampled_from([0, 1, 2, 3 * DAY_MS, 8 * DAY_MS, 9 * DAY_MS]),
                st.lists(st.tuples(st.sampled_from("ucepa"), name), min_size=2, max_size=4),
                st.booleans(),
            ),
            max_size=30,
        )
    ):
        names = {kind: f"{kind}{number if kind != 'u' else number % 3}" for kind, number in some}
        if len(names) > 1:
            found += told(at_ms, *names.values(), weak=weak and "u" in names)
    return found


@given(events(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_and_copies_change_nothing(
    evidence: list[Evidence], chance: Any
) -> None:
    again = [*evidence, *evidence[::2]]
    chance.shuffle(again)
    assert resolved(again).slices == resolved(evidence).slices


@given(events())
def test_persons_are_those_of_the_plain_model(evidence: list[Evidence]) -> None:
    found = resolved(evidence)
    expected = person_model.persons(
        [(one.at_ms, one.identity, one.hub, one.other, one.is_weak) for one in evidence],
        {name: kind_of(name) for name in found.slices},
    )
    accounts: dict[bytes, set[bytes]] = {}
    for name, slices in found.slices.items():
        if kind_of(name) != DEVICE:
            accounts.setdefault(slices[0].person, set()).add(name)
    shown = {
        name: [(one.since_ms, frozenset(accounts.get(one.person, {one.person}))) for one in slices]
        for name, slices in found.slices.items()
    }
    assert shown == expected


@given(events())
def test_where_no_guard_fires_persons_are_what_is_connected(evidence: list[Evidence]) -> None:
    found = resolved(evidence)
    if {verdict for _, verdict in found.verdicts} - {"joined", "known"}:
        return
    graph = networkx.Graph((one.hub, one.other) for one in evidence)
    connected = sorted(
        sorted(name.decode().rstrip(".") for name in group)
        for group in networkx.connected_components(graph)
    )
    assert persons(found) == connected


@given(events())
def test_nobody_has_two_user_ids_and_a_name_is_one_of_the_person(evidence: list[Evidence]) -> None:
    found = resolved(evidence)
    users = [
        (one.person, name)
        for name, slices in found.slices.items()
        for one in slices
        if kind_of(name) == "user_id"
    ]
    assert all(person == name for person, name in users)
    for slices in found.slices.values():
        assert slices[0].since_ms is None
        assert all(found.slices[one.person][0].person == one.person for one in slices)


@given(events(), st.integers(0, 29))
def test_evidence_that_is_taken_away_and_comes_again_changes_nothing(
    evidence: list[Evidence], number: int
) -> None:
    without = [one for at, one in enumerate(evidence) if at != number]
    again = [*without, *(evidence[number : number + 1])]
    assert resolved(again) == resolved(evidence)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_cases_with_a_known_answer(case: dict[str, Any]) -> None:
    evidence = [
        one
        for number, event in enumerate(case["events"])
        for one in (told(number, *event) if len(event) > 1 else [])
    ]
    assert persons(resolved(evidence)) == sorted(sorted(person) for person in case["persons"])


def test_of_a_household_five_devices_a_week_join_the_email() -> None:
    week = [one for number in range(7) for one in told(number, f"a{number}", "e")]
    found = resolved(week)
    assert persons(found) == [["a0", "a1", "a2", "a3", "a4", "e"], ["a5"], ["a6"]]
    assert [verdict for _, verdict in found.verdicts] == ["joined"] * 5 + ["limit_exceeded"] * 2
    later = told(9 * DAY_MS, "a6", "e")
    assert whose(resolved([*week, *later]), "a6") == [(None, "e")]


def test_a_kiosk_is_whose_login_it_is() -> None:
    logins = [one for number in range(200) for one in told(number * 10, "a", f"u{number}")]
    found = whose(resolved(logins), "a")
    assert found == [(number * 10 if number else None, f"u{number}") for number in range(200)]


def test_a_family_tablet_goes_back_and_forth() -> None:
    turns = [*told(10, "a", "u1"), *told(20, "a", "u2"), *told(30, "a", "u2"), *told(40, "a", "u1")]
    assert whose(resolved(turns), "a") == [(None, "u1"), (20, "u2"), (40, "u1")]


def test_a_guest_who_orders_on_a_shared_tablet_is_who_is_on_it() -> None:
    turns = [*told(10, "a", "u1"), *told(20, "a", "u2"), *told(30, "a", "e")]
    found = resolved(turns)
    assert found.slices[key("e")] == [Slice(None, key("u2"))]


def test_a_guest_who_becomes_a_customer_is_one_person() -> None:
    found = resolved([*told(10, "a1", "e"), *told(20, "a1", "u"), *told(30, "a2", "e")])
    assert persons(found) == [["a1", "a2", "e", "u"]]


def test_what_a_page_says_joins_no_accounts_where_a_server_must_say_it() -> None:
    pages = [*told(10, "a", "e", weak=True), *told(20, "a", "u", "e", weak=True)]
    found = resolved(pages)
    assert whose(found, "a") == [(None, "e"), (20, "u")]
    assert found.slices[key("e")] == [Slice(None, key("e"))]
    assert {verdict for _, verdict in found.verdicts} == {"joined", "weak", "shared_device"}
    assert persons(resolved([*pages, *told(30, "u", "e")])) == [["a", "e", "u"]]


def test_kinds_are_by_priority() -> None:
    assert list(RANKS) == list(KINDS)
