"""The log of salts on Kafka: one salt for all, and a topic that lets go of it by itself."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from spine.erasure_key import ErasureKey
from spine.errors import Misconfigured
from spine.kafka.control import KafkaControl
from spine.kafka.topic import KafkaTopic, provide
from spine.salts.salt import Salt, encode_salt
from spine.salts.salts import Salts
from tests.kafka_broker import Broker, Guard, fresh_topic, running_broker
from tests.kafka_logs import DEADLINE_MS, admin

KEY = ErasureKey(b"a secret of more than thirty-two characters")


async def test_collectors_agree_on_a_salt(topic: KafkaTopic) -> None:
    now_ms = time.time_ns() // 1_000_000
    collectors = [
        Salts(
            lambda: KafkaControl(topic.salts),
            KEY,
            lambda: {"shop": ZoneInfo("UTC")},
            lambda: now_ms,
        )
        for _ in range(3)
    ]
    await asyncio.gather(*(one.look() for one in collectors))
    (agreed,) = {one.of("shop", now_ms // 86_400_000) for one in collectors}
    assert agreed is not None


async def test_a_topic_that_would_keep_salts_is_refused(topic: KafkaTopic) -> None:
    other = topic.salts
    async with admin(topic) as client:
        kept = {"message.timestamp.type": "LogAppendTime"}
        await client.create_topics([NewTopic(other.name, 1, 1, topic_configs=kept)])
    with pytest.raises(Misconfigured, match=r"retention\.ms.*outlive their day"):
        await provide(other)


@pytest.fixture
def quick_broker() -> Iterator[Broker]:
    """It looks for what is over every second, not every five minutes."""
    often = "log.initial.task.delay.ms=500\nlog.retention.check.interval.ms=1000\n"
    with running_broker(guard=Guard(often)) as broker:
        yield broker


async def test_kafka_lets_go_of_a_salt_though_nothing_comes_after_it(quick_broker: Broker) -> None:
    """With a retention of a second instead of 28 hours; all other settings are the topic's own."""
    topic = KafkaTopic(quick_broker.servers, fresh_topic(), 3, DEADLINE_MS)
    forgets, log = topic.salts, KafkaControl(topic.salts)
    await log.open()
    short = dict(forgets.required) | {"retention.ms": "1000", "file.delete.delay.ms": "100"}
    async with admin(topic) as client:
        place = ConfigResource(ConfigResourceType.TOPIC, forgets.name, configs=short)
        await client.alter_configs([place])
    half = "5a" * 32
    await log.append(b"shop 1", encode_salt(Salt("shop", 1, 86_400_000, KEY.name, half)))
    files = quick_broker.directory / "data" / f"{forgets.name}-0"
    assert _with(half, files)
    until = time.monotonic() + 30
    while _with(half, files):
        assert time.monotonic() < until
        await asyncio.sleep(0.2)
    await log.close()


def _with(text: str, directory: Path) -> Sequence[str]:
    found = []
    for file in directory.iterdir():
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            continue
        found += [file.name] if text.encode() in content else []
    return found
