"""The store fails in every way while traffic goes on: processors wait, and that is all."""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.faults.machine import Machine
from tests.faults.store_proxy import FAILING, Mood, StoreProxy
from tests.faults.truth import Truth
from tests.faults.watch import Watch, until
from tests.flow.houses import House

_GROWS_BY_BYTES = 200 << 20
_SHAKY: Sequence[Mood] = ("reset", "cut", "slow")


class Hold(NamedTuple):
    """How long a mood is held; `each_alone` lets the processor recover after every one."""

    seconds: float
    each_alone: bool


class StoreTrouble:
    """One processor whose store has moods."""

    def __init__(
        self, house: House, proxy: StoreProxy, hold: Hold, say: Callable[[str], None]
    ) -> None:
        self._proxy = proxy
        self._hold = hold
        self._say = say
        self._house = house
        self._watch = Watch(house, "process")

    async def happen(self, machine: Machine) -> None:
        """Let the store have every mood."""
        await self._watch.moves_on()
        started, before_bytes = self._watch.pid, self._house.resident_bytes("process")
        lag = await self._watch.figure("beleg_log_lag")
        for mood, sentence in FAILING.items():
            await self._fail(mood, sentence, machine.truth)
            if self._hold.each_alone:
                await self._recover(lag)
        if not self._hold.each_alone:
            await self._recover(lag)
        for mood in _SHAKY:
            self._say(f"  store: {mood}")
            self._proxy.be(mood)
            await asyncio.sleep(self._hold.seconds)
            self._proxy.be("clear")
            await self._watch.moves_on()
        grown = self._house.resident_bytes("process") - before_bytes
        assert grown < _GROWS_BY_BYTES, f"the processor has grown by {grown} bytes"
        assert self._watch.pid == started, "it took a restart"

    async def _fail(self, mood: Mood, sentence: str, truth: Truth) -> None:
        """Nothing is consumed, /readyz tells why, and collectors go on."""
        self._say(f"  store: {mood}")
        self._proxy.be(mood)
        await until(lambda: self._watch.says(sentence), f"/readyz does not tell of {mood}")
        acknowledged = len(truth.acknowledged)
        reached = await self._watch.figure("beleg_ledger_offset")
        await asyncio.sleep(self._hold.seconds)
        assert await self._watch.says(sentence)
        assert await self._watch.figure("beleg_ledger_offset") == reached
        assert len(truth.acknowledged) > acknowledged

    async def _recover(self, lag: float) -> None:
        async def grows() -> bool:
            return await self._watch.figure("beleg_log_lag") > lag

        await until(grows, "the lag does not grow")
        self._proxy.be("clear")
        await self._watch.moves_on()
        await until(self._watch.is_ready, "/readyz does not tell that the store is back")
