"""Derived rows are spoiled and rebuilt, while traffic goes on and when it rests."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from spine.store import Row, Store
from tests.faults.machine import Machine
from tests.faults.sites import SITES
from tests.flow.derived import shown, spoil
from tests.flow.houses import House

Views = Mapping[str, Mapping[str, Sequence[Row]]]


class Rebuilding(NamedTuple):
    """A house with a store of its own, and how often its rows are spoiled under traffic."""

    house: House
    times: int
    say: Callable[[str], None]

    async def happen(self, machine: Machine) -> None:
        """Spoil and rebuild while processors derive."""
        for _ in range(self.times):
            await self._spoil()
            acknowledged = len(machine.truth.acknowledged)
            await self._rebuild()
            assert len(machine.truth.acknowledged) > acknowledged, "no traffic went on"

    async def changes_no_byte(self) -> None:
        """At rest, so at the same positions: a rebuild gives the same bytes, however rows are."""
        before = await self._bytes()
        await self._rebuild()
        assert await self._bytes() == before, "a rebuild changes right rows"
        await self._spoil()
        spoiled = await self._bytes()
        for view in ("v_sessions", "v_orders", "v_conversions", "v_persons", "v_kpi_daily"):
            assert all(spoiled[site][view] != before[site][view] for site in before), view
        await self._rebuild()
        assert await self._bytes() == before, "a rebuild does not put spoiled rows right"

    async def _rebuild(self) -> None:
        await asyncio.to_thread(self.house.run, "rebuild")
        self.say("  rebuilt")

    async def _spoil(self) -> None:
        async with self._store() as store:
            for site in SITES:
                await spoil(store, site.name)

    async def _bytes(self) -> Views:
        async with self._store() as store:
            return {site.name: await shown(store, site.name) for site in SITES}

    @asynccontextmanager
    async def _store(self) -> AsyncIterator[Store]:
        assert self.house.store is not None
        store = await Store.ask("{}:{}".format(*self.house.store))
        try:
            yield store
        finally:
            await store.close()
