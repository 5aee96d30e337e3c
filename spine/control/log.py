"""The seam between what is decided about people and where it is durable."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Page(NamedTuple):
    """Values of the control log in order, and the position behind them."""

    values: Sequence[bytes]
    position: int


class ControlLog(Protocol):
    """Where withdrawals are durable: the last value of each key, in the order they were written."""

    async def open(self) -> None:
        """Return once it can be used. Raises: Unavailable (try again), Misconfigured."""

    async def append(self, key: bytes, value: bytes) -> None:
        """Return once the value is durable; it replaces those of its key. Raises: Unavailable."""

    async def end(self) -> int:
        """Give the position behind all that is durable. Raises: Unavailable."""

    async def read(self, position: int, wait_s: float) -> Page:
        """Give some values from a position on; waits up to so long for one. Raises: Unavailable."""

    async def close(self) -> None:
        """Let go of everything, within a bounded time."""
