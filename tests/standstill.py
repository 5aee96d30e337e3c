"""A process that was stopped stands still only when the signal has reached all of its threads."""

import os
import signal
import time
from pathlib import Path


def stand_still(pid: int) -> None:
    """Stop a process; return when none of its threads runs any more."""
    os.kill(pid, signal.SIGSTOP)
    while any(_state(thread) not in "TtZ" for thread in Path(f"/proc/{pid}/task").iterdir()):
        time.sleep(0.001)


def _state(thread: Path) -> str:
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:  # it has ended meanwhile
        return "Z"
