"""What happens to Kafka, to be endured by a house under traffic."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from tests.faults.cutting_proxy import CuttingProxy
from tests.faults.machine import Machine
from tests.kafka_broker import Broker
from tests.kafka_cluster import Cluster

Weather = Callable[[Machine], Awaitable[None]]

_SPILL_POINTS = ("before the spill's write", "inside the spill's write", "after the spill's write")
_DRAIN_POINTS = ("before the drain's append", "after the drain's append", "after the drain's drop")


async def back(broker: Broker) -> None:
    """Start a broker again: from this thread, with whose end the broker ends."""
    broker.launch()
    await asyncio.to_thread(broker.wait_until_listening)


def away(broker: Broker, for_s: float) -> Weather:
    """The broker is killed and stays away."""

    async def happens(_: Machine) -> None:
        await asyncio.to_thread(broker.kill)
        await asyncio.sleep(for_s)
        await back(broker)
        await asyncio.sleep(1)

    return happens


def frozen(broker: Broker, for_s: float) -> Weather:
    """The broker holds its connections and answers nothing."""

    async def happens(_: Machine) -> None:
        broker.pause()
        await asyncio.sleep(for_s)
        broker.resume()
        await asyncio.sleep(1)

    return happens


def deaths_at_the_spill(broker: Broker, roles: Sequence[str]) -> Weather:
    """Collectors are killed while they write to their spill, and while they hand it over."""

    async def happens(machine: Machine) -> None:
        await asyncio.sleep(0.5)
        for point in _SPILL_POINTS:
            # Before Kafka goes: one that starts without it does not know what has been withdrawn.
            await asyncio.gather(*(machine.arm(role, f"{point}:2") for role in roles))
            await asyncio.to_thread(broker.kill)
            await asyncio.gather(*(machine.fall(role, point) for role in roles))
            if point != _SPILL_POINTS[-1]:
                await back(broker)
        for role in roles:
            await machine.rise(role)
        await asyncio.sleep(1)
        first, *others = _DRAIN_POINTS
        await asyncio.gather(back(broker), *(machine.die_at(role, first) for role in roles))
        for point in others:
            await asyncio.gather(*(machine.die_at(role, point) for role in roles))
        for role in roles:
            await machine.rise(role)

    return happens


def lost_answers(proxy: CuttingProxy, times: int) -> Weather:
    """The broker writes, and the connection is cut before its answer arrives."""

    async def happens(_: Machine) -> None:
        await asyncio.sleep(0.5)
        for _turn in range(times):
            lost = proxy.lost
            proxy.to_lose = 1
            async with asyncio.timeout(60):
                while proxy.lost == lost:
                    await asyncio.sleep(0.02)

    return happens


def leader_killed(cluster: Cluster, which: int, for_s: float) -> Weather:
    """One of three brokers, each the leader of some partition, is killed, and comes back later."""

    async def happens(_: Machine) -> None:
        await asyncio.sleep(1)
        await asyncio.to_thread(cluster.brokers[which].kill)
        await asyncio.sleep(for_s)
        await back(cluster.brokers[which])
        await asyncio.sleep(1)

    return happens
