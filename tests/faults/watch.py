"""What a process says of itself while a fault test looks on."""

import asyncio
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine

from tests.flow.houses import House

_WITHIN_S = 120


class Watch:
    """A running process, through its admin listener."""

    def __init__(self, house: House, role: str) -> None:
        self._house = house
        self._role = role

    @property
    def pid(self) -> int:
        return self._house.running[self._role].popen.pid

    def is_alive(self) -> None:
        process = self._house.running[self._role]
        code = process.popen.poll()
        assert code is None, f"exit {code}\n{''.join(process.lines[-30:])}"

    async def says(self, *reasons: str) -> bool:
        """Say whether it is not ready, for one of these reasons."""
        status, text = await self._get("readyz")
        return status == 503 and any(reason in text for reason in reasons)

    async def is_ready(self) -> bool:
        return (await self._get("readyz"))[0] == 200

    async def figure(self, name: str) -> float:
        """Sum a metric over its labels."""
        _, text = await self._get("metrics")
        rows = (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(f"{name}{{"))
        return sum(float(value) for _, value in rows)

    async def moves_on(self) -> None:
        """Return when more is in the ledger than now."""
        reached = await self.figure("beleg_ledger_offset")

        async def moves() -> bool:
            return await self.figure("beleg_ledger_offset") > reached

        await until(moves, "the ledger stands still")

    async def _get(self, route: str) -> tuple[int, str]:
        self.is_alive()
        address = self._house.addresses[f"{self._role} admin"]
        try:
            return await asyncio.to_thread(_get, f"http://{address}/{route}")
        except urllib.error.URLError as error:
            await asyncio.sleep(2)
            self.is_alive()
            raise AssertionError(f"{self._role} lives and does not answer: {error}") from error


async def until(true: Callable[[], Coroutine[None, None, bool]], otherwise: str) -> None:
    """Return when it is true."""
    give_up_at = time.monotonic() + _WITHIN_S
    while not await true():
        assert time.monotonic() < give_up_at, otherwise
        await asyncio.sleep(0.1)


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()
