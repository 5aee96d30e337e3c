"""Processors come and go, a zombie lands its batch again: every row is as if nothing had been. The
short form of `python -m tests.faults --scenario storm`, which also spoils and rebuilds rows."""

from pathlib import Path

import pytest

from tests.faults.machine import COLLECTORS, Machine
from tests.faults.sites import SETTINGS
from tests.faults.storm import PROCESSORS, Storm
from tests.flow.houses import kafka_house
from tests.kafka_broker import Broker

SEED = 4


@pytest.mark.long
async def test_a_storm_and_a_zombie_change_no_number(tmp_path: Path, kafka_broker: Broker) -> None:
    with kafka_house(tmp_path, kafka_broker, SETTINGS, (*COLLECTORS, *PROCESSORS)) as house:
        machine = Machine("kafka", house, SEED, print)
        await machine.endure(Storm(house, naps=1, seed=SEED, say=print).happen)
