"""The store fails in every way while traffic goes on: processors wait, and that is all."""

import asyncio
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.faults.machine import Machine
from tests.faults.store_proxy import FAILING, Mood, StoreProxy
from tests.faults.truth import Truth
from tests.flow.houses import House

_WITHIN_S = 60
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
        self._process = house.running["process"]
        self._admin = f"http://{house.addresses['process admin']}"

    async def happen(self, machine: Machine) -> None:
        """Let the store have every mood."""
        await self._moves_on()
        before_bytes = self._resident_bytes()
        lag = await self._lag()
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
            await self._moves_on()
        grown = self._resident_bytes() - before_bytes
        assert grown < _GROWS_BY_BYTES, f"the processor has grown by {grown} bytes"
        self._is_alive()

    async def _fail(self, mood: Mood, sentence: str, truth: Truth) -> None:
        """Nothing is consumed, /readyz tells why, and collectors go on."""
        self._say(f"  store: {mood}")
        self._proxy.be(mood)
        await _until(lambda: self._says(sentence), f"/readyz does not tell of {mood}")
        acknowledged = len(truth.acknowledged)
        reached = await self._figure("beleg_ledger_offset")
        await asyncio.sleep(self._hold.seconds)
        assert await self._says(sentence)
        assert await self._figure("beleg_ledger_offset") == reached
        assert len(truth.acknowledged) > acknowledged

    async def _recover(self, lag: float) -> None:
        async def grows() -> bool:
            return await self._lag() > lag

        await _until(grows, "the lag does not grow")
        self._proxy.be("clear")
        await self._moves_on()

    async def _moves_on(self) -> None:
        reached = await self._figure("beleg_ledger_offset")

        async def moves() -> bool:
            return await self._figure("beleg_ledger_offset") > reached

        await _until(moves, "the ledger stands still")
        status, text = await self._get("readyz")
        assert status == 200, text

    async def _says(self, sentence: str) -> bool:
        status, text = await self._get("readyz")
        return status == 503 and sentence in text

    async def _lag(self) -> float:
        return await self._figure("beleg_log_lag")

    async def _figure(self, name: str) -> float:
        """Sum a metric over its labels."""
        _, text = await self._get("metrics")
        rows = (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(f"{name}{{"))
        return sum(float(value) for _, value in rows)

    async def _get(self, route: str) -> tuple[int, str]:
        self._is_alive()
        return await asyncio.to_thread(_get, f"{self._admin}/{route}")

    def _is_alive(self) -> None:
        code = self._process.popen.poll()
        assert code is None, f"exit {code}\n{''.join(self._process.lines[-30:])}"

    def _resident_bytes(self) -> int:
        status = Path(f"/proc/{self._process.popen.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024


async def _until(true: Callable[[], Coroutine[None, None, bool]], otherwise: str) -> None:
    until = time.monotonic() + _WITHIN_S
    while not await true():
        assert time.monotonic() < until, otherwise
        await asyncio.sleep(0.1)


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()
