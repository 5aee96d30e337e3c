"""Whose spill and lock is whose, where several processes share one data directory."""

import asyncio
from pathlib import Path
from typing import NamedTuple

import structlog

from spine.errors import Misconfigured
from spine.runtime import held

_logger = structlog.get_logger()


class Seat(NamedTuple):
    """One of several workers; a collector alone has the first and only seat."""

    number: int = 0
    of: int = 1

    @property
    def lock(self) -> str:
        """The role under which a worker locks the directory."""
        return f"collect-{self.number}"


def spill_directories(data_dir: Path, seat: Seat) -> list[Path]:
    """Give the spill of a seat; for the first seat also those that more workers left behind.

    Shape: the own one first, and a spill belongs to exactly one seat."""
    if seat.number:
        return [data_dir / f"spill-{seat.number}"]
    numbered = {
        int(number): path
        for path in data_dir.glob("spill-*")
        if (number := path.name.removeprefix("spill-")).isdecimal()
    }
    left = [path for number, path in sorted(numbered.items()) if number >= seat.of]
    return [data_dir / "spill", *left]


async def until_let_go(data_dir: Path, within_s: float) -> None:
    """Return when no worker uses a directory any more: they outlive a parent that was killed, by
    the time they drain. Raises: Misconfigured when one does for longer."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + within_s
    told = False
    while _in_use(data_dir):
        if loop.time() > give_up_at:
            raise Misconfigured(
                "data_dir", f"workers of a killed `beleg collect` are using {data_dir}: stop them"
            )
        if not told:
            _logger.info("workers of a killed process drain", data_dir=str(data_dir))
        told = True
        await asyncio.sleep(0.1)


def _in_use(data_dir: Path) -> bool:
    locks = data_dir.glob("collect-*.lock")
    return any(held(data_dir, lock.stem) is not None for lock in locks)
