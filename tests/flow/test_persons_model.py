"""Whatever is landed, repeated, split, put back, erased and rebuilt, in whatever order and however
often it is killed meanwhile: persons are what the plain model says of the events that are left."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.erasure.erasing import Place, erase
from processors.erasure.marked import Erased
from processors.identity.splits import split, undo
from processors.keys import KINDS, KeySet
from processors.rebuild import rederive
from spine.erasure_key import ErasureKey
from spine.errors import Unavailable
from spine.store import Row, Store
from tests.clickhouse_server import Server
from tests.flow.happenings import DAY_MS, Happening, records
from tests.flow.passage import DyingStore, process
from tests.flow.test_identity import NOON_MS, SHA, expected, key, named, stored
from tests.migrated import make_tables

ERASURE_KEY = ErasureKey(b"a secret of more than thirty-two characters")
MARK_MS = NOON_MS + 100 * DAY_MS
_PROVE = settings(
    max_examples=6,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

Work = Callable[[Store], Coroutine[Any, Any, object]]

accounts = {
    "user_id": st.sampled_from(["u1", "u2"]),
    "crm_id": st.sampled_from(["c1", "c2", "c3"]),
    "email_sha256": st.sampled_from([SHA.format(f"e{number}") for number in (1, 2, 3)]),
}
events = st.tuples(
    st.fixed_dictionaries({}, optional=accounts).filter(bool),
    st.sampled_from([None, "a1", "a2", "a3"]),
    st.sampled_from([0, 1, 3 * DAY_MS, 9 * DAY_MS]),
)
steps = st.sampled_from(
    ["land", "land", "land", "again", "split", "split", "undo", "erase", "erase", "rebuild"]
)


@pytest.fixture(scope="module")
def store(clickhouse_server: Server) -> Iterator[Store]:
    """A store of this file's own: a deletion goes through all parts, and the session's has many."""
    database = f"d{uuid4().hex}"
    url = f"clickhouse://{clickhouse_server.host}:{clickhouse_server.port}/{database}"
    opened = asyncio.run(Store.open(url, Path(), makes=True))
    asyncio.run(make_tables(opened, database))
    yield opened
    asyncio.run(opened.close())


class Story:
    """A site to which things happen, and what the model has to know of it."""

    def __init__(self, store: Store, told: list[Happening], chance: random.Random) -> None:
        self.site = told[0].site
        self._store, self._chance = store, chance
        self._waiting = chance.sample(told, len(told))
        self._offset = 0
        self._erased: set[bytes] = set()
        self.landed: list[Happening] = []
        self.splits: set[frozenset[bytes]] = set()

    async def _killed(self, work: Work) -> None:
        """Do it, at times after it was killed on the way."""
        if self._chance.random() < 0.4:
            try:
                _ = await work(DyingStore(self._store, self._chance.randint(0, 12)))
            except Unavailable:
                pass
            else:
                return
        _ = await work(self._store)

    async def _process(self, told: list[Happening]) -> None:
        batch = records(told, first_offset=self._offset)
        self._offset += len(told)
        await self._killed(lambda store: process(store, f"log-{self.site}", batch))

    async def land(self) -> None:
        count = self._chance.randint(1, 6)
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        batch = [one for one in batch if not self._erased & self._keys(one)]
        if batch:
            await self._process(batch)
            self.landed += batch

    async def again(self) -> None:
        if self.landed:
            await self._process(self._chance.choices(self.landed, k=3))

    async def split(self) -> None:
        pairs = [pair for one in self.landed for pair in self._pairs(one)]
        if pairs:
            one, other = ends = self._chance.choice(pairs)
            await self._killed(lambda store: split(store, self.site, ends, "a test"))
            self.splits.add(frozenset((one, other)))

    async def undo(self) -> None:
        if self.splits:
            one, other = self._chance.choice(sorted(sorted(pair) for pair in self.splits))
            await self._killed(lambda store: undo(store, self.site, (one, other)))
            self.splits.remove(frozenset((one, other)))

    async def erase(self) -> None:
        if not self._erased and self.landed:
            who = self._chance.choice(sorted(self._keys(self._chance.choice(self.landed))))
            subjects = {who: Erased(MARK_MS, self.site)}
            log_id = f"log-{self.site}"
            await self._killed(
                lambda store: erase(Place(store, log_id, ERASURE_KEY, None), subjects)
            )
            self._erased.add(who)
            self.landed = [one for one in self.landed if who not in self._keys(one)]
            self.splits = {pair for pair in self.splits if who not in pair}

    async def rebuild(self) -> None:
        digests = frozenset(one for told in self.landed for one in self._keys(told))
        await self._killed(lambda store: rederive(store, KeySet(KINDS[2], digests)))

    def _keys(self, told: Happening) -> set[bytes]:
        return {key(self.site, one) for one in named(told)}

    def _pairs(self, told: Happening) -> list[tuple[bytes, bytes]]:
        hub, *others = (key(self.site, one) for one in named(told))
        return [(hub, other) for other in others]

    async def agrees(self) -> None:
        assert await stored(self._store, self.site) == expected(self.site, self.landed, self.splits)

    async def agrees_with_a_rebuild(self) -> None:
        before = await self._shown()
        await self.rebuild()
        assert await self._shown() == before

    async def _shown(self) -> list[Row]:
        return await self._store.select(
            f"SELECT * FROM v_persons WHERE site = '{self.site}' ORDER BY ALL"
        )

    async def end(self) -> None:
        """Land what is left; put back all that was split; rebuild: nothing of it may tell."""
        while self._waiting:
            await self.land()
        await self.agrees()
        before = await stored(self._store, self.site)
        put_back = set(self.splits)
        for one, other in put_back:
            assert await undo(self._store, self.site, (one, other))
        self.splits.clear()
        await self.agrees()
        await self.agrees_with_a_rebuild()
        named_together = {frozenset(pair) for told in self.landed for pair in self._pairs(told)}
        for one, other in put_back:
            done = await split(self._store, self.site, (one, other), "again")
            assert done == (frozenset((one, other)) in named_together)
        assert await stored(self._store, self.site) == before


def _told(drawn: list[tuple[dict[str, str], str | None, int]]) -> list[Happening]:
    site = f"s{uuid4().hex[:12]}"
    return [
        Happening(
            site, "login", f"e{number}", NOON_MS + later_ms + number % 3, "server", device,
            who.get("user_id"), named=tuple(each for each in who.items() if each[0] != "user_id"),
        )
        for number, (who, device, later_ms) in enumerate(drawn)
    ]  # fmt: skip


async def _live(story: Story, happens: list[str]) -> None:
    for step in happens:
        await getattr(story, step)()
        await story.agrees()
        if step == "erase":
            await story.agrees_with_a_rebuild()
    await story.end()


@_PROVE
@given(
    drawn=st.lists(events, min_size=4, max_size=20),
    happens=st.lists(steps, min_size=4, max_size=8),
    seed=st.integers(0, 2**32),
)
def test_persons_are_those_of_the_model_whatever_happens(
    store: Store,
    drawn: list[tuple[dict[str, str], str | None, int]],
    happens: list[str],
    seed: int,
) -> None:
    asyncio.run(_live(Story(store, _told(drawn), random.Random(seed)), happens))
