"""A store that fails in any way stops nothing but the numbers. The short form of
`python -m tests.faults --scenario store`."""

from pathlib import Path

from tests.faults.machine import COLLECTORS, Machine
from tests.faults.sites import SETTINGS
from tests.faults.store_proxy import proxied
from tests.faults.store_trouble import Hold, StoreTrouble
from tests.flow.houses import kafka_house
from tests.kafka_broker import Broker


async def test_whatever_ails_the_store_processors_wait_and_then_nothing_is_missing(
    tmp_path: Path, kafka_broker: Broker
) -> None:
    with (
        proxied() as proxy,
        kafka_house(
            tmp_path, kafka_broker, SETTINGS, (*COLLECTORS, "process"), proxy.before
        ) as house,
    ):
        trouble = StoreTrouble(house, proxy, Hold(0.5, each_alone=False), print)
        await Machine("kafka", house, 1, print).endure(trouble.happen)
