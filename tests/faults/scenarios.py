"""The long forms of the scenarios: a house, what happens around it, and what must hold then."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.faults.full_disk import FullDisk
from tests.faults.machine import COLLECTORS, PROCESSORS, Machine, drawn
from tests.faults.rebuilding import Rebuilding
from tests.faults.sites import SETTINGS
from tests.faults.store_proxy import proxied
from tests.faults.store_trouble import Hold, StoreTrouble
from tests.faults.storm import PLACES, Storm
from tests.faults.storm import PROCESSORS as OF_A_STORM
from tests.flow.houses import embedded_house, kafka_house
from tests.kafka_broker import running_broker
from tests.small_disk import small_disk

Say = Callable[[str], None]
Scenario = Callable[[Path, int, Say], Awaitable[object]]
"""Called with a directory, a seed and where to tell of it. Raises: AssertionError."""

_CHECK_EVERY = 8


async def kill(mode: str, rounds: int, directory: Path, seed: int, say: Say) -> None:
    """Processes die at fail points and at any moment, sleep, and end in order."""
    with ExitStack() as stack:
        if mode == "embedded":
            extra = f"log.retention_s = 0\n{SETTINGS}"
            house = stack.enter_context(embedded_house(directory, extra))
        else:
            broker = stack.enter_context(running_broker())
            roles = (*COLLECTORS, *PROCESSORS)
            house = stack.enter_context(kafka_house(directory, broker, SETTINGS, roles))
        machine = Machine(mode, house, seed, say)
        with _kept(machine, directory):
            await machine.go(drawn(mode, rounds, seed), _CHECK_EVERY)


async def store(directory: Path, seed: int, say: Say) -> None:
    """The store fails in every way, for ten seconds each."""
    roles = (*COLLECTORS, "process")
    with (
        running_broker() as broker,
        proxied() as proxy,
        kafka_house(directory, broker, SETTINGS, roles, proxy.before) as house,
    ):
        machine = Machine("kafka", house, seed, say)
        with _kept(machine, directory):
            trouble = StoreTrouble(house, proxy, Hold(10.0, each_alone=True), say)
            await machine.endure(trouble.happen)


async def storm(directory: Path, seed: int, say: Say) -> None:
    """Processors come and go, a zombie sleeps everywhere it can, rows are spoiled and rebuilt."""
    roles = (*COLLECTORS, *OF_A_STORM)
    with running_broker() as broker, kafka_house(directory, broker, SETTINGS, roles) as house:
        machine = Machine("kafka", house, seed, say)
        with _kept(machine, directory):
            await machine.endure(Storm(house, len(PLACES), seed, say).happen)
            rebuilding = Rebuilding(house, 5, say)
            await machine.endure(rebuilding.happen)
            await rebuilding.changes_no_byte()


async def full_disk(directory: Path, seed: int, say: Say) -> None:
    """The disk of `beleg run` fills up, again and again."""
    with (
        small_disk(directory / "data", 256) as disk,
        embedded_house(directory, SETTINGS) as house,
    ):
        machine = Machine("embedded", house, seed, say)
        with _kept(machine, directory):
            for _ in range(3):
                await machine.endure(FullDisk(house, disk, 10.0, say).happen)


SCENARIOS: Mapping[str, Scenario] = {"store": store, "storm": storm, "full-disk": full_disk}


@contextmanager
def _kept(machine: Machine, directory: Path) -> Iterator[None]:
    """Keep what was sent when something is not proven."""
    try:
        yield
    except AssertionError:
        machine.truth.write(directory / "truth.ndjson")
        raise
