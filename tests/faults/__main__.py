"""`python -m tests.faults`: the long form of the fault machine, in both modes."""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.faults.machine import COLLECTORS, PROCESSORS, Machine, drawn, points
from tests.faults.sites import SETTINGS
from tests.flow.houses import embedded_house, kafka_house
from tests.kafka_broker import running_broker

_CHECK_EVERY = 8


def main() -> int:
    """Run the rounds that were asked for; exit 1 when something was lost or counted twice."""
    parser = argparse.ArgumentParser(prog="make faults")
    parser.add_argument("--rounds", type=int, help="in each mode; default: every fail point once")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--mode", choices=("embedded", "kafka"), help="default: both")
    asked = parser.parse_args()
    failed = False
    for mode in (asked.mode,) if asked.mode else ("embedded", "kafka"):
        # Four rounds in five are fail points, each in turn.
        rounds = asked.rounds or -(-5 * len(points(mode)) // 4)
        _say(f"{mode}: {rounds} rounds, --seed {asked.seed}")
        failed |= not _run(mode, rounds, asked.seed)
    return int(failed)


def _run(mode: str, rounds: int, seed: int) -> bool:
    directory = Path(tempfile.mkdtemp(prefix="beleg-faults-"))
    with ExitStack() as stack:
        if mode == "embedded":
            house = stack.enter_context(
                embedded_house(directory, f"log.retention_s = 0\n{SETTINGS}")
            )
        else:
            broker = stack.enter_context(running_broker())
            roles = (*COLLECTORS, *PROCESSORS)
            house = stack.enter_context(kafka_house(directory, broker, SETTINGS, roles))
        machine = Machine(mode, house, seed, _say)
        try:
            asyncio.run(machine.go(drawn(mode, rounds, seed), _CHECK_EVERY))
        except AssertionError as wrong:
            machine.truth.write(directory / "truth.ndjson")
            _say(f"{mode}: NOT PROVEN after {machine.rounds} rounds: {wrong}")
            _say(f"  what was sent and everything stored is in {directory}")
            return False
    shutil.rmtree(directory)
    return True


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
