"""Two processors at once on the same visitors, orders and devices."""

import asyncio
import random

import pytest

from spine.store import Store
from tests.flow.derive_model import outcome
from tests.flow.happenings import DAY_MS, Happening, Order, records
from tests.flow.passage import enter_site, process
from tests.flow.views import found

START_MS = 1_711_756_800_000
ROUNDS = 4


def _told(site: str, chance: random.Random, number: int) -> Happening:
    name = chance.choice(["page_view", "page_view", "purchase", "refund"])
    order = Order(chance.choice(["t1", "t2"]), chance.choice(["10", "2.5", None]))
    return Happening(
        site,
        name,
        f"e{number}",
        START_MS + DAY_MS + chance.randint(-2 * DAY_MS, 2 * DAY_MS) // 900_000 * 900_000,
        chance.choice(["browser", "browser", "server"]),
        chance.choice(["a1", "a1", "a2"]),
        chance.choice([None, None, "u1", "u2"]),
        "/",
        order=order if name in ("purchase", "refund") else None,
    )


async def _lander(store: Store, log_id: str, told: list[Happening], chance: random.Random) -> None:
    """A processor of its own partition; both store objects open the same directory."""
    at = 0
    while at < len(told):
        batch = told[at : at + chance.randint(1, 6)]
        await process(store, log_id, records(batch, first_offset=at))
        at += len(batch)


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_two_processors_of_the_same_keys_end_in_the_models_rows(
    store: Store, site: str, seed: int
) -> None:
    assert store.path is not None
    other = await Store.open("embedded", store.path.parent)
    chance = random.Random(seed)
    told = [_told(site, chance, number) for number in range(28)]
    await enter_site(store, site)
    await asyncio.gather(
        _lander(store, f"log-{site}-0", told[::2], random.Random(seed)),
        _lander(other, f"log-{site}-1", told[1::2], random.Random(seed + 1)),
    )
    await other.close()
    assert await found(store, site) == outcome(told)
