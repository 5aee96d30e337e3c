"""How busy the thread of the event loop is: how long it had the CPU, or waited for its turn on it.

A loop that always finds something to do never sleeps; one that waits for the log, or for the
interpreter, does. What the kernel lets wait for a core is busy too, as others may want the same.
"""

import os
import time
from pathlib import Path

_SCHEDSTAT = Path("/proc/thread-self/schedstat")


class Busy:
    """Looks at the thread that makes it."""

    def __init__(self) -> None:
        self._waits = os.open(_SCHEDSTAT, os.O_RDONLY) if _SCHEDSTAT.exists() else None
        self._at_ns = time.monotonic_ns()
        self._had_ns = self._wanted_ns()

    def since(self) -> tuple[float, float]:
        """Give the share of the time since the last look that was busy, and that time.

        Units: seconds."""
        at_ns, had_ns = time.monotonic_ns(), self._wanted_ns()
        took_ns = max(1, at_ns - self._at_ns)
        share = (had_ns - self._had_ns) / took_ns
        self._at_ns, self._had_ns = at_ns, had_ns
        return share, took_ns / 1e9

    def _wanted_ns(self) -> int:
        waited = b"0 0" if self._waits is None else os.pread(self._waits, 64, 0)
        return time.thread_time_ns() + int(waited.split()[1])

    def close(self) -> None:
        """Look no more."""
        if self._waits is not None:
            os.close(self._waits)
            self._waits = None
