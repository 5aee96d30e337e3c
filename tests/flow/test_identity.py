"""Persons by evidence of all kinds, in the store: any passage, splits, and components too large."""

import asyncio
import random
import time
from collections.abc import Collection, Sequence
from uuid import uuid4

import pytest

from processors.identity.component import components
from processors.identity.graph import RANKS
from processors.identity.splits import split, undo
from processors.identity.why import why
from processors.keys import KINDS as TABLES
from processors.keys import KeySet
from processors.rebuild import rederive
from spine.digest import identifier_id
from spine.store import Store
from tests.flow.derived import shown
from tests.flow.happenings import DAY_MS, Happening, Order, records
from tests.flow.passage import enter_site, process, rough_passage
from tests.unit.processors import person_model

NOON_MS = 1_711_800_000_000
SHA = "{:0>64}"
Persons = dict[tuple[str, str], list[tuple[int | None, str]]]


def named(told: Happening) -> list[tuple[str, str]]:
    """Every identifier on an event, by priority."""
    found = [("user_id", told.user_id), *told.named, ("anonymous_id", told.anonymous_id)]
    return sorted([(k, v) for k, v in found if v is not None], key=lambda one: RANKS[one[0]])


def key(site: str, one: tuple[str, str]) -> bytes:
    return identifier_id(site, *one)


def expected(
    site: str, told: Sequence[Happening], apart: Collection[frozenset[bytes]] = ()
) -> dict[tuple[str, str], list[object]]:
    """What the plain model says, by the accounts of each person, where these pairs are split."""
    seen = {key(site, one): one for happening in told for one in named(happening)}
    evidence = [
        (happening.at_ms, bytes.fromhex(happening.identity), key(site, hub), key(site, one), False)
        for happening in told
        for ends in [named(happening)]
        for hub, one in [(ends[0], each) for each in ends[1:]]
        if frozenset((key(site, hub), key(site, one))) not in apart
    ]
    found = person_model.persons(evidence, {digest: one[0] for digest, one in seen.items()})
    return {
        seen[digest]: [(since, frozenset(seen[each] for each in person)) for since, person in turns]
        for digest, turns in found.items()
    }


async def stored(store: Store, site: str) -> dict[tuple[str, str], list[object]]:
    """What `v_persons` shows, by the accounts of each person."""
    rows = await store.select(
        "SELECT identifier_type, identifier, toUnixTimestamp64Milli(valid_from) AS since, person_id"
        " FROM v_persons WHERE site = {site:String} ORDER BY since NULLS FIRST",
        {"site": site},
    )
    accounts: dict[str, set[tuple[str, str]]] = {}
    for kind, name, _, person in rows:
        if kind != "anonymous_id":
            accounts.setdefault(person, set()).add((kind, name))
    found: dict[tuple[str, str], list[object]] = {}
    for kind, name, since, person in rows:
        group = frozenset(accounts.get(person, {(kind, name)}))
        found.setdefault((kind, name), []).append((since, group))
    return found


def story(site: str, chance: random.Random, count: int) -> list[Happening]:
    told = []
    for number in range(count):
        further = [
            ("crm_id", f"c{chance.randint(1, 3)}"),
            ("email_sha256", SHA.format(f"e{chance.randint(1, 4)}")),
            ("phone_sha256", SHA.format(f"d{chance.randint(1, 2)}")),
        ]
        told.append(
            Happening(
                site,
                "login",
                f"e{number}",
                NOON_MS + chance.choice([0, 1, 2, 3 * DAY_MS, 9 * DAY_MS]) + chance.randint(0, 2),
                chance.choice(["browser", "server"]),
                chance.choice([None, *(f"a{each}" for each in range(1, 8))]),
                chance.choice([None, None, "u1", "u2", "u3"]),
                named=tuple(sorted(chance.sample(further, chance.choice([0, 0, 1, 2])))),
            )
        )
    return told


@pytest.mark.parametrize("seed", range(4))
async def test_any_passage_gives_the_persons_of_the_plain_model(store: Store, seed: int) -> None:
    chance = random.Random(seed)
    site = f"s{uuid4().hex[:12]}"
    told = story(site, chance, 40)
    arrived = [*told, *told[::5]]
    chance.shuffle(arrived)
    await rough_passage(store, f"log-{site}", records(arrived), chance)
    assert await stored(store, site) == expected(site, told)


async def test_two_processors_of_one_component_end_in_the_models_persons(store: Store) -> None:
    assert store.path is not None
    other = await Store.open("embedded", store.path.parent)
    for seed in range(3):
        site = f"s{uuid4().hex[:12]}"
        told = story(site, random.Random(seed), 30)

        async def land(store: Store, part: int, told: list[Happening], site: str) -> None:
            for at in range(part, len(told), 6):
                batch = records(told[at : at + 5 : 2], first_offset=at)
                await process(store, f"log-{site}-{part}", batch)

        await asyncio.gather(land(store, 0, told, site), land(other, 1, told, site))
        landed = [
            one for part in (0, 1) for at in range(part, 30, 6) for one in told[at : at + 5 : 2]
        ]
        assert await stored(store, site) == expected(site, landed)
    await other.close()


async def test_ten_thousand_identifiers_neither_stall_nor_swallow(store: Store, site: str) -> None:
    neighbours = [
        Happening(
            site, "login", f"n{number}", NOON_MS, anonymous_id=f"n{number}", user_id=f"v{number}"
        )
        for number in range(50)
    ]
    attack = [
        Happening(site, "login", f"x{number}", NOON_MS + number, "browser", f"x{number}", "shared")
        for number in range(9_950)
    ]
    told = [*neighbours, *attack]
    loop = asyncio.get_running_loop()
    lags: list[float] = []

    async def watch() -> None:
        while True:
            began = loop.time()
            await asyncio.sleep(0.005)
            lags.append(loop.time() - began - 0.005)

    batch = records(told)
    watching = asyncio.create_task(watch())
    began = time.process_time()
    await process(store, f"log-{site}", batch)
    one_more = attack[0]._replace(event_id="more", anonymous_id="one-more")
    await process(store, f"log-{site}", records([one_more], first_offset=len(told)))
    watching.cancel()
    took_s = time.process_time() - began
    assert await stored(store, site) == {
        **{
            one: [(None, frozenset({("user_id", told_of.user_id)}))]
            for told_of in neighbours
            for one in named(told_of)
        },
        **{one: [(None, frozenset({one}))] for x in [*attack, one_more] for one in named(x)},
    }
    assert took_s < 60 and max(lags) < 5, (took_s, max(lags))  # quadratic would be minutes


async def test_a_split_is_as_if_the_evidence_had_never_been(store: Store, site: str) -> None:
    def told(of: str, linked: bool) -> list[Happening]:
        seen = Happening(of, "page_view", "e1", NOON_MS, anonymous_id="a1")
        login = Happening(of, "login", "e2", NOON_MS + 1, anonymous_id="a1", user_id="u1")
        wrong = Happening(
            of, "login", "e3", NOON_MS + 2, anonymous_id="a2", user_id="u1", stripped=not linked
        )
        bought = Happening(
            of, "purchase", "e4", NOON_MS + 3, anonymous_id="a2", order=Order("T", "10")
        )
        return [seen, login, wrong, bought]

    other = f"{site}-b"
    for of, linked in ((site, True), (other, False)):
        await enter_site(store, of)
        await process(store, f"log-{of}", records(told(of, linked)))
    before = await shown(store, site)
    ends = key(site, ("user_id", "u1")), key(site, ("anonymous_id", "a2"))
    assert await split(store, site, ends, "ticket 7")
    assert await stored(store, site) == await stored(store, other)
    assert len({row[-1] for row in await persons_of_orders(store, site)}) == 1
    assert not await split(store, site, (ends[0], key(site, ("anonymous_id", "a9"))), "no evidence")
    halved = await shown(store, site)
    assert halved != before
    digests = frozenset({*ends, key(site, ("anonymous_id", "a1"))})
    _ = await rederive(store, KeySet(TABLES[2], digests))
    assert await shown(store, site) == halved, "a rebuild heeds it"
    again = told(site, linked=True)[2]._replace(event_id="e9", at_ms=NOON_MS + 9)
    await process(store, f"log-{site}", records([again], first_offset=9))
    assert await stored(store, site) == await stored(store, other), "so does what comes later"
    assert await undo(store, site, ends) and not await undo(store, site, ends)
    back = await shown(store, site)
    assert back["v_persons"] == before["v_persons"] and back["v_orders"] == before["v_orders"]


async def persons_of_orders(store: Store, site: str) -> list[tuple[str, ...]]:
    return await store.select(
        "SELECT visitor_id, person_id FROM v_orders WHERE site = {site:String}", {"site": site}
    )


async def test_why_tells_the_chain_or_the_guard(store: Store, site: str) -> None:
    mail = ("email_sha256", SHA.format("e1"))
    told = [
        Happening(site, "login", "e1", NOON_MS, anonymous_id="a1", named=(mail,)),
        Happening(site, "login", "e2", NOON_MS + 1, "server", None, "u1", named=(mail,)),
        Happening(site, "login", "e3", NOON_MS + 2, "server", None, "u2", named=(mail,)),
    ]
    await process(store, f"log-{site}", records(told))
    device, user, second = (
        key(site, one) for one in (("anonymous_id", "a1"), ("user_id", "u1"), ("user_id", "u2"))
    )
    found = await why(store, device, user)
    assert found.person == user
    assert [(step.evidence.channel, step.verdict) for step in found.steps] == [
        ("browser", "joined"), ("server", "joined"),
    ]  # fmt: skip
    apart = await why(store, device, second)
    assert apart.person is None
    assert [step.verdict for step in apart.steps] == ["joined", "two_users"]
    assert (await why(store, device, key(site, ("user_id", "u9")))).steps == ()
    (component,) = await components(store, {device})
    assert len(component.identifiers) == 4
