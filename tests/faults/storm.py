"""A rebalance storm: processors come and go every few seconds, and one of them is a zombie.

The zombie stands still in the middle of a batch for longer than its session lasts, others take its
partitions over and land the same records, then it wakes and goes on where it stood.
"""

import asyncio
import itertools
import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.faults.machine import Machine
from tests.faults.watch import until
from tests.flow.houses import House
from tests.flow.processes import Process

PROCESSORS = ("process", "process-2", "process-3")
_ZOMBIE = PROCESSORS[-1]
_PARTITIONS = 3
PLACES = (
    "before events",  # judged, nothing landed
    "before seen",
    "after the landing",
    "after the token",
    "before the orders",
    "before the ledger line",
)


class Storm(NamedTuple):
    """A house with three processors, and how often the zombie sleeps."""

    house: House
    naps: int
    seed: int
    say: Callable[[str], None]

    async def happen(self, machine: Machine) -> None:
        """Let the storm rage for as long as the zombie takes."""
        chance = random.Random(self.seed)
        others = asyncio.create_task(self._come_and_go(PROCESSORS[:-1], chance))
        try:
            for place in chance.sample(PLACES, self.naps):
                await self._nap(place)
        finally:
            others.cancel()
            await asyncio.gather(others, return_exceptions=True)
        for role in PROCESSORS:
            await machine.rise(role)

    async def _come_and_go(self, roles: Sequence[str], chance: random.Random) -> None:
        while True:
            role = chance.choice(roles)
            # One that is killed holds the group up for a session: killed often, nobody works.
            number = signal.SIGKILL if chance.random() < 0.2 else signal.SIGTERM
            self.say(f"  storm: {role} {number.name}")
            code = await asyncio.to_thread(self.house.running[role].end, number)
            assert code == (0 if number == signal.SIGTERM else -number)
            await asyncio.to_thread(self.house.start, role)
            await asyncio.sleep(chance.uniform(1.0, 5.0))

    async def _nap(self, place: str) -> None:
        started = time.monotonic()
        await asyncio.to_thread(self.house.running[_ZOMBIE].end, signal.SIGTERM)
        zombie = self.house.launch(_ZOMBIE, {"BELEG_FAILPOINT": f"{place}:1:stop"})

        async def stands_still() -> bool:
            return _state(zombie) == "T"

        await until(stands_still, f"the zombie does not get to {place}")
        batches = _batches(zombie)
        reached = await self._reached()

        async def is_replaced() -> bool:
            now = await self._reached()
            return all(now.get(each, 0) > reached.get(each, 0) for each in range(_PARTITIONS))

        await until(is_replaced, "nobody takes the zombie's work over")
        zombie.popen.send_signal(signal.SIGCONT)

        async def lands_again() -> bool:
            return _batches(zombie) > batches

        await until(lands_again, "the zombie does not land its batch")
        assert await asyncio.to_thread(self._overlaps), "the zombie has landed nothing again"
        await asyncio.to_thread(self.house.note, _ZOMBIE)
        self.say(f"  storm: a zombie {place} in {time.monotonic() - started:.1f} s")

    async def _reached(self) -> Mapping[int, int]:
        """Give where the ledger of each partition ends."""
        sql = "SELECT log_partition, max(next_offset) FROM ledger GROUP BY log_partition"
        return dict(await asyncio.to_thread(self.house.ask, sql))

    def _overlaps(self) -> bool:
        """Say whether two lines of the ledger cover one offset: two processors landed it."""
        lines = self.house.ask(
            "SELECT log_partition, first_offset, next_offset FROM ledger ORDER BY ALL"
        )
        return any(
            one[0] == other[0] and other[1] < one[2] for one, other in itertools.pairwise(lines)
        )


def _state(process: Process) -> str:
    return Path(f"/proc/{process.popen.pid}/stat").read_text().rpartition(")")[2].split()[0]


def _batches(process: Process) -> int:
    return sum('"event":"batch"' in line for line in process.lines)
