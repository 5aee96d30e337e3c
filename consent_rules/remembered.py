"""`Remembered`: what was worked out before, within a bound of bytes."""

from collections.abc import Hashable
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class Remembered(Generic[_K, _V]):
    """Remembers values by key; beyond its bound it forgets what was not asked for lately.

    There are two generations. What is asked for moves to the young one; when that holds half of
    the bound it becomes the old one, and what was old is forgotten. Units: `max_bytes` is of what
    the caller says a value takes."""

    __slots__ = ("_half_bytes", "_old", "_young", "_young_bytes")

    def __init__(self, max_bytes: int) -> None:
        self._half_bytes = max_bytes // 2
        self._young: dict[_K, tuple[_V, int]] = {}
        self._old: dict[_K, tuple[_V, int]] = {}
        self._young_bytes = 0

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def find(self, key: _K) -> _V | None:
        """Give what is remembered, or nothing."""
        found = self._young.get(key)
        if found is not None:
            return found[0]
        found = self._old.get(key)
        if found is None:
            return None
        self.keep(key, *found)
        return found[0]

    def keep(self, key: _K, value: _V, size_bytes: int) -> None:
        """Remember a value; one that takes more than half of the bound is not."""
        if size_bytes > self._half_bytes:
            return
        if self._young_bytes + size_bytes > self._half_bytes:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        self._young[key] = (value, size_bytes)
        self._young_bytes += size_bytes
