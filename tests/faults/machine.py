"""The fault machine: kills processes in the middle of their work and checks what came of it.

A process that died is started again with the next fault already armed, so that it may die a
second time while it recovers; it starts without any before each check.
"""

import asyncio
import random
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, NamedTuple

from spine.failpoint import FAIL_POINTS
from tests.faults.clients import Clients
from tests.faults.oracle import Judgement, check, settle
from tests.faults.shop import Shop
from tests.faults.sites import SITES
from tests.faults.truth import Truth
from tests.flow.houses import House

COLLECTORS, PROCESSORS = ("collect", "collect-2"), ("process", "process-2")
_REACHED_WITHIN_S = 120
_SLEEP_S = 13.0  # a member is out of its group after 10
_CALM_S = 2.0
_EMBEDDED_ONLY = {"before the append's commit", "after the append's commit",
                  "before the sweep", "after the sweep"}  # fmt: skip
_KAFKA_ONLY = {"before the Kafka send", "inside the Kafka send", "after the Kafka send"}
_WHILE_KAFKA_IS_AWAY = {point for point in FAIL_POINTS if "spill's" in point or "drain's" in point}
_COMMANDS = {
    point
    for point in FAIL_POINTS
    if "replay's" in point or "import's" in point or "the split" in point
}
_TALLIES = {"before the tally", "after the tally"}
DECISIONS = {
    "before the control append", "before the control commit", "after the control append",
    "before the decision's append", "after the decision's append",
    "before the answer to a decision",
}  # fmt: skip
"""Reached while a decision about consent is taken: `test_decisions.py` gets there."""
RETAINING = {
    "before the proofs", "before the orders stay", "before the horizon", "after the horizon",
    "before the past is derived", "before the days are cleared",
    "before the fates of what is over", "before rows go", "after rows went",
}  # fmt: skip
"""Reached where something is over: `test_retention_runs.py` gets there."""
ERASURES = {point for point in FAIL_POINTS if "mark" in point or "erasure" in point}
"""Reached while somebody is erased: `test_erasures.py` gets there."""
_COLLECTING = _KAFKA_ONLY | _TALLIES | {"before the answer"}


class Fault(NamedTuple):
    """What is done to a process: killed at a fail point (`point:n`), killed at any moment, asked to
    end, or put to sleep for so long that its group takes its work away."""

    kind: Literal["point", "kill", "term", "sleep"]
    role: str
    point: str = ""


def points(mode: str) -> list[str]:
    """Give the fail points that processes of a mode get to, whatever the weather."""
    left_out = _COMMANDS | _WHILE_KAFKA_IS_AWAY | DECISIONS | RETAINING | ERASURES
    left_out |= _KAFKA_ONLY if mode == "embedded" else _EMBEDDED_ONLY
    return [point for point in FAIL_POINTS if point not in left_out]


def role_of(mode: str, point: str, chance: random.Random) -> str:
    """Draw a process that gets to this fail point."""
    if mode == "embedded":
        return "run"
    return chance.choice(COLLECTORS if point in _COLLECTING else PROCESSORS)


def drawn(mode: str, rounds: int, seed: int) -> list[Fault]:
    """Draw that many faults: every fail point in turn, and something else in every fifth round."""
    chance = random.Random(seed)
    known = points(mode)
    faults: list[Fault] = []
    left: list[str] = []
    while len(faults) < rounds:
        if len(faults) % 5 == 4:
            faults.append(_at_any_moment(mode, chance))
            continue
        left = left or chance.sample(known, len(known))
        point = left.pop()
        nth = 1 if point in _TALLIES else chance.choice((1, 1, 2, 3))
        faults.append(Fault("point", role_of(mode, point, chance), f"{point}:{nth}"))
    return faults


def _at_any_moment(mode: str, chance: random.Random) -> Fault:
    if mode == "embedded":
        return Fault(chance.choice(("kill", "term")), "run")
    role = chance.choice((*COLLECTORS, *PROCESSORS))
    asleep: tuple[Literal["sleep"], ...] = ("sleep",) if role in PROCESSORS else ()
    return Fault(chance.choice(("kill", "term", *asleep)), role)


class Machine:
    """A house under traffic, its faults and its checks."""

    def __init__(self, mode: str, house: House, seed: int, say: Callable[[str], None]) -> None:
        self._mode = mode
        self._house = house
        self._chance = random.Random(seed)
        self._say = say
        self.truth = Truth()
        self._collectors = ("run",) if mode == "embedded" else COLLECTORS
        now_ms = time.time_ns() // 1_000_000
        shops = [Shop(site, seed, now_ms) for site in SITES]
        self._clients = Clients(house, self._collectors, shops, self.truth, seed)
        self.rounds = 0
        self._tallied = 0

    async def go(self, faults: Sequence[Fault], check_every: int) -> Judgement:
        """Let these faults happen, in this order, and check after every few of them."""
        try:
            for start in range(0, len(faults), check_every):
                self._clients.start()
                await self._strike(faults[start : start + check_every])
                judged = await self._check()
                self._say(f"{self._mode}: {self.rounds} rounds, {judged._asdict()}")
            return await self._calm()
        finally:
            await self._clients.stop()

    async def endure(self, happens: Callable[["Machine"], Awaitable[None]]) -> Judgement:
        """Let something happen around the house under traffic, then check."""
        try:
            self._clients.start()
            await happens(self)
            judged = await self._check()
            self._say(f"{self._mode}: {judged._asdict()}")
            return judged
        finally:
            await self._clients.stop()

    async def _calm(self) -> Judgement:
        """Go on for a while with nobody dying: now every tally must be there, and only once."""
        started_at, before = time.time(), self._tallied
        self._clients.start()
        await asyncio.sleep(_CALM_S)
        after = await self._check()
        fewest, most = self.truth.tally_bounds(started_at)
        told = after.tallied - before
        assert fewest <= told <= most, f"tallies rose by {told}, not {fewest} to {most}"
        return after

    async def _strike(self, faults: Sequence[Fault]) -> None:
        """Let every process suffer its own faults, one after the other."""
        roles = dict.fromkeys(fault.role for fault in faults)
        await asyncio.gather(
            *(
                self._suffer(role, [fault for fault in faults if fault.role == role])
                for role in roles
            )
        )

    async def _suffer(self, role: str, faults: Sequence[Fault]) -> None:
        for fault in faults:
            started = time.monotonic()
            if fault.kind == "point":
                await self.die_at(role, fault.point)
            else:
                await self.rise(role)
                await asyncio.sleep(self._chance.uniform(0.1, 2.0))
            if fault.kind == "sleep":
                await self._sleep(role)
            elif fault.kind != "point":
                await self._end(role, signal.SIGKILL if fault.kind == "kill" else signal.SIGTERM)
            self.rounds += 1
            self._say(
                f"  {self._mode} {role}: {fault.point or fault.kind}"
                f" in {time.monotonic() - started:.1f} s"
            )
        await self.rise(role)

    async def die_at(self, role: str, point: str) -> None:
        """Start a process so that it dies at a fail point, and return when it has."""
        alive = await self.arm(role, point)
        if alive and point.partition(":")[0] in _TALLIES:  # flushed at the end, too
            await self._turned_away_by(role)
            self._house.running[role].popen.send_signal(signal.SIGTERM)
        await self.fall(role, point)

    async def arm(self, role: str, point: str) -> bool:
        """Start a process that will die at a fail point; say whether it lives until it is ready."""
        await self._end(role, signal.SIGKILL)
        return await self._start(role, point)

    async def fall(self, role: str, point: str) -> None:
        """Return when a process has died at the fail point it was armed with."""
        process = self._house.running[role].popen
        try:
            code = await asyncio.to_thread(process.wait, _REACHED_WITHIN_S)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"{role} did not get to {point}") from late
        assert code == -signal.SIGKILL, f"{point}: {code}\n{self._lines(role)}"
        await self._end(role, signal.SIGKILL)
        self.truth.died(role, flushed=False)

    async def _turned_away_by(self, role: str) -> None:
        """Return when this process has something to tally."""
        started_at = time.time()
        while not self.truth.turned_away_since(started_at, role):
            await asyncio.sleep(0.05)

    async def _sleep(self, role: str) -> None:
        process = self._house.running[role].popen
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(_SLEEP_S)
        process.send_signal(signal.SIGCONT)

    async def _end(self, role: str, number: int) -> None:
        process = self._house.running[role]
        was_alive = process.popen.poll() is None
        code = await asyncio.to_thread(process.end, number)
        if was_alive:
            self.truth.died(role, flushed=number == signal.SIGTERM)
            assert code == (0 if number == signal.SIGTERM else -number), self._lines(role)

    async def _start(self, role: str, point: str) -> bool:
        """Start a process that dies at `point`; say whether it lives until it is ready."""
        try:
            await asyncio.to_thread(self._house.start, role, {"BELEG_FAILPOINT": point})
        except AssertionError:
            if self._house.running[role].popen.poll() != -signal.SIGKILL:
                raise
            return False
        return True

    async def rise(self, role: str) -> None:
        """Start a process that has died."""
        if self._house.running[role].popen.poll() is not None:
            await asyncio.to_thread(self._house.start, role)

    async def _check(self) -> Judgement:
        await self._clients.stop()
        for role in self._collectors:  # so that all tallies are on the log
            await self._end(role, signal.SIGTERM)
            await self.rise(role)
        await asyncio.to_thread(settle, self._house, self._processor, self._collectors)
        judged = await check(self._house, self.truth)
        self._tallied = judged.tallied
        return judged

    @property
    def _processor(self) -> str:
        return "run" if self._mode == "embedded" else PROCESSORS[0]

    def _lines(self, role: str) -> str:
        return "".join(self._house.running[role].lines[-20:])
