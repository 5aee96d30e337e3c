"""The disk of `beleg run` fills up under traffic, and has room again."""

import asyncio
import signal
import time
from collections.abc import Callable

from tests.faults.machine import Machine
from tests.faults.watch import Watch, until
from tests.flow.houses import House
from tests.small_disk import SmallDisk


class FullDisk:
    """A house whose data_dir is a disk that can be filled."""

    def __init__(
        self, house: House, disk: SmallDisk, held_s: float, say: Callable[[str], None]
    ) -> None:
        self._house = house
        self._disk = disk
        self._held_s = held_s
        self._say = say
        self._watch = Watch(house, "run")

    async def happen(self, machine: Machine) -> None:
        """Fill the disk and free it; then once more, and end the process while it is full."""
        began_at = time.time()  # tallies may find no moment in between
        await self._fill(machine)
        self._disk.free()
        await self._recover()
        await self._fill(machine)
        self._say("  full disk: killed")
        process = self._house.running["run"]
        await asyncio.to_thread(process.end, signal.SIGKILL)
        machine.truth.died("run", flushed=False, log_away_s=time.time() - began_at)
        await self._does_not_start()
        self._disk.free()
        await machine.rise("run")
        await self._recover()

    async def _fill(self, machine: Machine) -> None:
        """Every answer is a 503 now, and the process lives and says why."""
        self._say("  full disk")
        await self._watch.moves_on()
        self._disk.fill()
        attempts = machine.truth.attempts

        async def turns_away() -> bool:
            # What is not to be kept needs no room.
            kept = [one for one in attempts[-60:] if any(each.told for each in one.parcel.sayings)]
            return len(kept) > 20 and {one.status for one in kept[-20:]} == {503}

        await until(turns_away, "a full disk takes events")
        await until(
            lambda: self._watch.says("full", "space"), "/readyz does not tell of the full disk"
        )
        until_at = time.monotonic() + self._held_s
        while time.monotonic() < until_at:
            await asyncio.sleep(0.1)
            self._disk.fill()  # what the engine merges gives room back
        self._watch.is_alive()

    async def _recover(self) -> None:
        await self._watch.moves_on()
        await until(self._watch.is_ready, "/readyz does not tell that there is room again")

    async def _does_not_start(self) -> None:
        """Start it all the same: it says in one sentence why it cannot, or waits for room."""
        try:
            await asyncio.to_thread(self._house.start, "run")
        except AssertionError:
            process = self._house.running["run"]
            assert await asyncio.to_thread(process.end) == 2, process.lines
            self._say(f"  full disk: {process.lines[-1].rstrip()}")
            assert process.lines[-1].startswith("beleg: data_dir: "), process.lines
