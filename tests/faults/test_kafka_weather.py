"""Kafka dies, freezes, loses its answers: nothing acknowledged is lost, nothing counts twice."""

from pathlib import Path

import pytest

from tests.faults import weather
from tests.faults.cutting_proxy import cutting_proxy
from tests.faults.machine import COLLECTORS, PROCESSORS, Machine
from tests.faults.sites import SETTINGS
from tests.flow.houses import kafka_house
from tests.kafka_broker import Broker, free_ports, nodes, running_broker
from tests.kafka_cluster import running_cluster

SEED = 2
_ROLES = (*COLLECTORS, *PROCESSORS)
_QUICK = f"log.append_deadline_ms = 2000\nlog.spill_after_ms = 300\n{SETTINGS}"


async def test_a_broker_that_dies_or_freezes_costs_nothing_even_where_collectors_die(
    tmp_path: Path, kafka_broker: Broker
) -> None:
    with kafka_house(tmp_path, kafka_broker, _QUICK, _ROLES) as house:
        machine = Machine("kafka", house, SEED, print)
        try:
            await machine.endure(weather.deaths_at_the_spill(kafka_broker, COLLECTORS))
            await machine.endure(weather.frozen(kafka_broker, 4))
        finally:
            kafka_broker.ensure_running()
            kafka_broker.wait_until_listening()


async def test_an_acknowledgement_that_is_lost_costs_no_event_and_doubles_none(
    tmp_path: Path,
) -> None:
    (node,), (advertised,) = nodes(1), free_ports(1)
    node = node._replace(advertised_port=advertised)
    with (
        running_broker(node) as broker,
        cutting_proxy(node) as proxy,
        kafka_house(tmp_path, broker, _QUICK, _ROLES) as house,
    ):
        machine = Machine("kafka", house, SEED, print)
        await machine.endure(weather.lost_answers(proxy, 10))
        assert proxy.lost == 10


@pytest.mark.long
async def test_one_of_three_brokers_dies_and_nobody_is_turned_away(tmp_path: Path) -> None:
    with (
        running_cluster() as cluster,
        kafka_house(tmp_path, cluster, _QUICK, _ROLES) as house,
    ):
        machine = Machine("kafka", house, SEED, print)
        judged = await machine.endure(weather.leader_killed(cluster, 0, 12))
        assert judged.acknowledged > 100
        assert not [each for each in machine.truth.attempts if each.status == 503]
