"""`python -m tests.faults`: the long form of the fault machine."""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from tests.faults.scenarios import SCENARIOS, Scenario, kill


def main() -> int:
    """Run what was asked for; exit 1 when something was lost or counted twice."""
    parser = argparse.ArgumentParser(prog="make faults")
    parser.add_argument("--scenario", choices=("kill", *SCENARIOS), help="default: all")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--mode", choices=("embedded", "kafka"), help="of kill; default: both")
    parser.add_argument("--rounds", type=int, default=100, help="of kill, in each mode")
    asked = parser.parse_args()
    work: dict[str, Scenario] = {}
    if asked.scenario in (None, "kill"):
        for mode in (asked.mode,) if asked.mode else ("embedded", "kafka"):
            work[f"kill, {mode}"] = partial(kill, mode, asked.rounds)
    work |= {name: one for name, one in SCENARIOS.items() if asked.scenario in (None, name)}
    proven = [_run(name, one, asked.seed) for name, one in work.items()]
    return int(not all(proven))


def _run(name: str, scenario: Scenario, seed: int) -> bool:
    directory = Path(tempfile.mkdtemp(prefix="beleg-faults-"))
    _say(f"{name}: --seed {seed}")
    try:
        asyncio.run(_awaited(scenario, directory, seed))
    except AssertionError as wrong:
        _say(f"{name}: NOT PROVEN: {wrong}")
        _say(f"  what was sent and everything stored is in {directory}")
        return False
    shutil.rmtree(directory)
    return True


async def _awaited(scenario: Scenario, directory: Path, seed: int) -> None:
    await scenario(directory, seed, _say)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
