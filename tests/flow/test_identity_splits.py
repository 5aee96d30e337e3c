"""Splits whose process is killed: done again by whoever asks again, or at the next start."""

from contextlib import suppress

import pytest

from processors.identity.component import MOST
from processors.identity.splits import finish, split, undo
from processors.identity.why import why
from spine.errors import Unavailable
from spine.store import Store
from tests.flow.happenings import Happening, records
from tests.flow.passage import DyingStore, process
from tests.flow.test_identity import NOON_MS, expected, key, named, stored


def two_kiosks(site: str, users: int) -> list[Happening]:
    return [
        Happening(
            site, "login", f"e{kiosk}{number}", NOON_MS + number * 1000, "browser",
            f"kiosk{kiosk}", f"u{kiosk}-{number}",
        )
        for kiosk in range(2)
        for number in range(users)
    ]  # fmt: skip


async def splits_that_count(store: Store, site: str) -> int:
    ((count,),) = await store.select(
        "SELECT countIf(NOT is_undone) FROM (SELECT * FROM identity_splits FINAL"
        " WHERE site = {site:String})",
        {"site": site},
    )
    return int(count)


async def test_what_becomes_too_large_falls_apart_and_comes_back(store: Store, site: str) -> None:
    told = two_kiosks(site, MOST * 3 // 5)
    await process(store, f"log-{site}", records(told))
    before = await stored(store, site)
    assert before == expected(site, told) and len(before["anonymous_id", "kiosk1"]) == MOST * 3 // 5
    bridge = Happening(
        site, "login", "bridge", NOON_MS + 10**9, anonymous_id="kiosk1", user_id="u0-0"
    )
    await process(store, f"log-{site}", records([bridge], first_offset=len(told)))
    assert await stored(store, site) == {
        one: [(None, frozenset({one}))] for told_of in told for one in named(told_of)
    }
    found = await why(store, key(site, ("user_id", "u0-1")), key(site, ("anonymous_id", "kiosk0")))
    assert found.too_large
    ends = key(site, ("user_id", "u0-0")), key(site, ("anonymous_id", "kiosk1"))
    assert await split(store, site, ends, "a test")
    assert await stored(store, site) == before
    for calls in range(1, 40):
        with suppress(Unavailable):
            _ = await undo(DyingStore(store, calls), site, ends)
        if not await splits_that_count(store, site):
            break
    await finish(store)
    apart = await stored(store, site)
    assert all(len(turns) == 1 for turns in apart.values())


async def three_devices(
    store: Store, site: str
) -> tuple[tuple[bytes, bytes], dict[tuple[str, str], list[object]]]:
    """Let a user come by three devices; give the ends of a split that takes the second away, and
    whose each identifier is before it."""
    told = [
        Happening(site, "login", f"e{n}", NOON_MS + n, anonymous_id=f"a{n}", user_id="u1")
        for n in (1, 2, 3)
    ]
    await process(store, f"log-{site}", records(told))
    ends = key(site, ("user_id", "u1")), key(site, ("anonymous_id", "a2"))
    return ends, await stored(store, site)


@pytest.mark.parametrize("undone", [False, True])
async def test_killed_anywhere_a_split_and_its_undoing_are_done_again_to_the_same_end(
    store: Store, site: str, undone: bool
) -> None:
    for calls in range(40):
        of = f"{site}-{calls}"
        ends, whole = await three_devices(store, of)
        if undone:
            assert await split(store, of, ends, "a test")
        dying = DyingStore(store, calls)
        try:
            done = await (undo(dying, of, ends) if undone else split(dying, of, ends, "a test"))
        except Unavailable:  # who does it again may find that all was done
            _ = await (undo(store, of, ends) if undone else split(store, of, ends, "a test"))
            done = False
        apart = {**whole, ("anonymous_id", "a2"): [(None, frozenset({("anonymous_id", "a2")}))]}
        assert await stored(store, of) == (whole if undone else apart), calls
        if done:
            break
    else:
        raise AssertionError("it never came to its end")


@pytest.mark.parametrize("undone", [False, True])
async def test_killed_anywhere_and_never_asked_for_again_it_is_finished_at_the_next_start(
    store: Store, site: str, undone: bool
) -> None:
    for calls in range(40):
        of = f"{site}-{calls}"
        ends, whole = await three_devices(store, of)
        if undone:
            assert await split(store, of, ends, "a test")
        dying = DyingStore(store, calls)
        try:
            done = await (undo(dying, of, ends) if undone else split(dying, of, ends, "a test"))
        except Unavailable:
            done = False
        await finish(store)
        await finish(DyingStore(store, 1))  # which looks, and finds nothing to do
        apart = {**whole, ("anonymous_id", "a2"): [(None, frozenset({("anonymous_id", "a2")}))]}
        assert await stored(store, of) == (apart if await splits_that_count(store, of) else whole)
        if done:
            break
    else:
        raise AssertionError("it never came to its end")
