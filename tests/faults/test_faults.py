"""Killed at every line that writes: nothing acknowledged is lost, nothing counts twice (P1 to P3,
P6). The short form of `make faults`."""

import random
from pathlib import Path

from tests.faults.machine import COLLECTORS, PROCESSORS, Fault, Machine, points
from tests.faults.sites import SETTINGS
from tests.flow.houses import embedded_house, kafka_house
from tests.kafka_broker import Broker

SEED = 1
_KAFKA_POINTS = (
    ("collect", "before the Kafka send"),
    ("collect", "inside the Kafka send"),
    ("collect", "after the Kafka send"),
    ("collect-2", "before the answer"),
    ("process", "before seen"),
    ("process-2", "after the ledger line"),
)


async def test_one_machine_killed_at_every_fail_point_counts_every_event_once(
    tmp_path: Path,
) -> None:
    faults = [Fault("point", "run", point) for point in points("embedded")]
    random.Random(SEED).shuffle(faults)
    with embedded_house(tmp_path, f"log.retention_s = 0\n{SETTINGS}") as house:
        await Machine("embedded", house, SEED, print).go(faults, 14)


async def test_many_machines_killed_at_fail_points_count_every_event_once(
    tmp_path: Path, kafka_broker: Broker
) -> None:
    faults = [Fault("point", role, point) for role, point in _KAFKA_POINTS]
    with kafka_house(tmp_path, kafka_broker, SETTINGS, (*COLLECTORS, *PROCESSORS)) as house:
        await Machine("kafka", house, SEED, print).go(faults, len(faults))
