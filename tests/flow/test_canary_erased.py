"""Of who was erased nothing is found anywhere, once the time is over that the receipt tells."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.canary import Canaries, found_in, places
from tests.clickhouse_server import client_of, started
from tests.flow.canary_traffic import SERVER, allowed, heads, sender
from tests.flow.houses import House, embedded_house, kafka_house
from tests.flow.test_adopt_kafka import topic_of
from tests.flow.test_erase import KEY
from tests.kafka_broker import Broker, Guard, running_broker
from tests.kafka_logs import admin
from tests.migrated import copy_store

_EXTRA = f'collector.trusted_proxies = ["127.0.0.1/32"]\n{KEY}'
_TABLES = "SELECT name FROM system.tables WHERE database = 'beleg' AND engine LIKE '%MergeTree'"
# By default old parts go after 8 minutes and at most six more, and Kafka looks every five.
_SOON = "old_parts_lifetime = 1, cleanup_delay_period = 1, max_cleanup_delay_period = 1"
_OFTEN = "log.initial.task.delay.ms=500\nlog.retention.check.interval.ms=1000\n"


class Tidy(NamedTuple):
    """A house whose waits are short, and its broker if it has one."""

    house: House
    broker: Broker | None


@pytest.fixture(params=["embedded", "kafka"])
async def tidy(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Tidy]:
    place = tmp_path / ("data/store" if request.param == "embedded" else "server")
    copy_store(place)
    with started(place, "--writable") as server, client_of(server) as client:
        for (table,) in client.query(_TABLES).result_rows:
            client.command(f"ALTER TABLE beleg.{table} MODIFY SETTING {_SOON}")
    if request.param == "embedded":
        with embedded_house(tmp_path, _EXTRA) as house:
            yield Tidy(house, None)
        return
    with (
        running_broker(guard=Guard(_OFTEN)) as broker,
        kafka_house(tmp_path, broker, _EXTRA, new=True) as house,
    ):
        yield Tidy(house, broker)


async def let_kafka_forget(house: House) -> None:
    topic = topic_of(house)
    short = dict(topic.required) | {"retention.ms": "1000", "file.delete.delay.ms": "100"}
    async with admin(topic) as client:
        await client.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=short)]
        )


async def test_nothing_is_found_of_who_was_erased(tidy: Tidy) -> None:
    house, broker = tidy
    gone, stays = Canaries(), Canaries()
    who = {"anonymous_id": gone.sing(), "user_id": gone.mail()}
    async with sender(house) as to:
        for number in range(20):
            for name in ("page_view", "purchase", "generate_lead"):
                assert await to.events(allowed(gone, f"gone-{name}-{number}", name) | who) == 202
            assert await to.events(allowed(stays, f"stays-{number}", "purchase")) == 202
        decision = {"action": "grant", "purposes": {"analytics": True}, **who}
        body = json.dumps(decision).encode()
        assert await to.send("POST", "/v1/consent", body, SERVER | heads(gone)) == 202
    await asyncio.to_thread(house.wait_until, "SELECT count() FROM v_events", 80)

    def where(of: Canaries) -> set[str]:
        return {one.where for one in found_in(places(house, broker), of)}

    before = await asyncio.to_thread(where, gone)
    assert {"file", "table"} <= {place.partition(":")[0] for place in before}
    erase = ("erase", "--site", "shop", "--id", f"user_id={who['user_id']}", "--yes")
    receipt = json.loads((await asyncio.to_thread(house.run, *erase)).stdout)
    assert receipt["found"]["events"] == 60
    if broker is not None:
        await let_kafka_forget(house)
    give_up_at = time.monotonic() + 120
    while found := await asyncio.to_thread(where, gone):
        assert time.monotonic() < give_up_at, found
        await asyncio.sleep(2)
    # The scan is not blind: of who was not erased the store has everything still.
    assert await asyncio.to_thread(house.ask, "SELECT count() FROM v_events") == [(20,)]
    kinds = {place.partition(":")[0] for place in await asyncio.to_thread(where, stays)}
    assert {"table", "part, decompressed"} <= kinds
