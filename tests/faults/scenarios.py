"""The long forms of the scenarios: a house, what happens around it, and what must hold then."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.faults import weather
from tests.faults.cutting_proxy import cutting_proxy
from tests.faults.full_disk import FullDisk
from tests.faults.machine import COLLECTORS, PROCESSORS, Machine, drawn
from tests.faults.rebuilding import Rebuilding
from tests.faults.sites import SETTINGS
from tests.faults.store_proxy import proxied
from tests.faults.store_trouble import Hold, StoreTrouble
from tests.faults.storm import PLACES, Storm
from tests.faults.storm import PROCESSORS as OF_A_STORM
from tests.flow.houses import embedded_house, kafka_house
from tests.kafka_broker import free_ports, nodes, running_broker
from tests.kafka_cluster import running_cluster
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


async def kafka(directory: Path, seed: int, say: Say) -> None:
    """The broker is away for a minute, freezes for half of one; collectors die in their spill."""
    roles = (*COLLECTORS, *PROCESSORS)
    with running_broker() as broker, kafka_house(directory, broker, SETTINGS, roles) as house:
        machine = Machine("kafka", house, seed, say)
        with _kept(machine, directory):
            before = [house.resident_bytes(role) for role in COLLECTORS]
            await machine.endure(weather.away(broker, 60))
            after = [house.resident_bytes(role) for role in COLLECTORS]
            say(f"  collectors grew by {[a - b for a, b in zip(after, before, strict=True)]} bytes")
            assert all(a - b < 50e6 for a, b in zip(after, before, strict=True)), (before, after)
            refused = [each for each in machine.truth.attempts if each.status == 503]
            assert not refused, f"{len(refused)} times 503 while there was room in the spill"
            await machine.endure(weather.frozen(broker, 30))
            for _ in range(3):
                await machine.endure(weather.deaths_at_the_spill(broker, COLLECTORS))
                await machine.endure(weather.away(broker, 3))


async def lost_answers(directory: Path, seed: int, say: Say) -> None:
    """The broker writes, and its answer never arrives, a hundred times."""
    (node,), (advertised,) = nodes(1), free_ports(1)
    node = node._replace(advertised_port=advertised)
    roles = (*COLLECTORS, *PROCESSORS)
    with (
        running_broker(node) as broker,
        cutting_proxy(node) as proxy,
        kafka_house(directory, broker, SETTINGS, roles) as house,
    ):
        machine = Machine("kafka", house, seed, say)
        with _kept(machine, directory):
            await machine.endure(weather.lost_answers(proxy, 100))


async def three_brokers(directory: Path, seed: int, say: Say) -> None:
    """One broker of three is killed and comes back, five times; nobody is turned away."""
    roles = (*COLLECTORS, *PROCESSORS)
    with running_cluster() as cluster, kafka_house(directory, cluster, SETTINGS, roles) as house:
        machine = Machine("kafka", house, seed, say)
        with _kept(machine, directory):
            for turn in range(5):
                await machine.endure(weather.leader_killed(cluster, turn % 3, 15))
            refused = [each for each in machine.truth.attempts if each.status == 503]
            assert not refused, f"{len(refused)} times 503 while there was room in the spill"


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


SCENARIOS: Mapping[str, Scenario] = {
    "kafka": kafka,
    "lost-answers": lost_answers,
    "three-brokers": three_brokers,
    "store": store,
    "storm": storm,
    "full-disk": full_disk,
}


@contextmanager
def _kept(machine: Machine, directory: Path) -> Iterator[None]:
    """Keep what was sent when something is not proven."""
    try:
        yield
    except AssertionError:
        machine.truth.write(directory / "truth.ndjson")
        raise
