"""Processes that are measured: started, watched through /proc, ended by their id."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

ROOT = Path(__file__).resolve().parent.parent
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_END_S = 60.0

T = TypeVar("T")


class Usage(NamedTuple):
    """What a process and its children have used so far.

    Units: CPU seconds; resident bytes now, and at the highest of each process."""

    cpu_s: float
    rss_bytes: int
    peak_bytes: int


class Work(NamedTuple):
    """What cores did, whoever worked on them. Units: ticks of the system, of all together."""

    busy: int
    idle: int

    def busy_since(self, before: "Work") -> float:
        """Give the share of the time since then in which they were busy."""
        busy, idle = self.busy - before.busy, self.idle - before.idle
        return busy / max(1, busy + idle)


class Running:
    """One process of a role; made by `started`."""

    def __init__(self, role: str, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self.role = role
        self._process = process
        self._output = output

    def usage(self) -> Usage:
        """Give what the whole process tree has used."""
        found = [_usage(pid) for pid in _tree(self._process.pid)]
        return Usage(
            sum(used.cpu_s for used in found),
            sum(used.rss_bytes for used in found),
            sum(used.peak_bytes for used in found),
        )

    def lines(self) -> list[str]:
        """Give the complete lines it has written so far."""
        return self._output.read_text(errors="replace").split("\n")[:-1]

    def until(self, look: Callable[[], T | None], patience_s: float, every_s: float = 0.1) -> T:
        """Look again and again until there is an answer; the process must live meanwhile."""
        give_up_at = time.monotonic() + patience_s
        while (found := look()) is None:
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                what = "has ended" if self._process.poll() is not None else "takes too long"
                raise RuntimeError(f"{self.role} {what}:\n" + "\n".join(self.lines()[-30:]))
            time.sleep(every_s)
        return found

    def address(self) -> str:
        """Wait for the address it prints."""
        return self.until(
            lambda: next((line for line in self.lines() if line.startswith("127.")), None), 60
        )

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """End it in its own way, and the hard way if that takes too long."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def others_work(self) -> "Work":
        """Give what the cores did so far that `keep_apart` leaves to all else."""
        lines = Path("/proc/stat").read_text().splitlines()
        others = [f"cpu{core}" for core in sorted(os.sched_getaffinity(0))]
        own = [f"cpu{core}" for core in os.sched_getaffinity(self._process.pid)]
        ticks = [
            [int(ticks) for ticks in line.split()[1:9]]  # those of guests are in them already
            for line in lines
            if line.split()[0] in others and line.split()[0] not in own
        ]
        idle = sum(one[3] + one[4] for one in ticks)
        return Work(sum(sum(one) for one in ticks) - idle, idle)

    def keep_apart(self) -> None:
        """Leave it one core of its own, and the others to all else that we have started.

        Where there is one core only, they go on sharing it."""
        first, *others = sorted(os.sched_getaffinity(0))
        if others:
            own = _tree(self._process.pid)
            _keep_to(own, {first})
            _keep_to(set(_tree(os.getpid())) - set(own), set(others))


@contextmanager
def all_cores() -> Iterator[None]:
    """Undo afterwards what `Running.keep_apart` did to us and to who lives on."""
    cores = os.sched_getaffinity(0)
    try:
        yield
    finally:
        _keep_to(_tree(os.getpid()), cores)


@contextmanager
def started(
    role: str, module: Sequence[str], directory: Path, settings: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Run `python -m module…` for a while; its output goes to a file in `directory`."""
    output = directory / f"{role}-{time.monotonic_ns()}.log"
    leash = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    with output.open("wb") as file:
        process = subprocess.Popen(
            [*leash, sys.executable, "-m", *module],
            cwd=ROOT,
            env=environment(settings or {}),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    running = Running(role, process, output)
    try:
        yield running
    finally:
        running.end()


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Give the environment of a process: ours without Beleg's settings, and these settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BELEG__")}
    return {**kept, **settings}


def _tree(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            found.extend(int(child) for child in task.read_text().split())
    return found


def _keep_to(processes: Iterable[int], cores: set[int]) -> None:
    for process in processes:
        for thread in Path(f"/proc/{process}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):  # a thread may have ended meanwhile
                os.sched_setaffinity(int(thread.name), cores)


def _usage(pid: int) -> Usage:
    # The name in brackets may hold anything; what follows it has fixed places. Source: proc(5).
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = sum(int(field) for field in fields[11:15])  # utime, stime, and of ended children
    memory = {"VmRSS": 0, "VmHWM": 0}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in memory:
            memory[name] = int(value.split()[0]) * 1024
    return Usage(ticks / _TICKS_PER_S, memory["VmRSS"], memory["VmHWM"])
