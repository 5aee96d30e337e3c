"""The topic a Kafka log is kept in: made when it is absent, refused when it would lose events."""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from spine.errors import Misconfigured, Unavailable

MAX_VALUE_BYTES = 4 * 1024 * 1024
"""The largest value a Kafka log takes."""

_MAX_MESSAGE_BYTES = MAX_VALUE_BYTES + 1024  # a value alone in its batch, with the batch's header

# Without LogAppendTime a client's clock decides what retention deletes, and compaction would eat
# the copies of an event, which share no key but would share the absence of one.
_REQUIRED = {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime"}


class KafkaTopic(NamedTuple):
    """Where a Kafka log is: the brokers to ask first, the topic, and how long a call may take.

    Shape: `servers` is "host:port", several separated by commas.
    """

    servers: str
    name: str
    partitions: int
    deadline_ms: int = 5000

    @property
    def deadline_s(self) -> float:
        """The deadline in seconds, as asyncio wants it."""
        return self.deadline_ms / 1000


async def provide(topic: KafkaTopic) -> None:
    """Return once the topic exists with settings that keep every event.

    Raises: Unavailable, Misconfigured."""
    admin = AIOKafkaAdminClient(
        bootstrap_servers=topic.servers, request_timeout_ms=topic.deadline_ms
    )
    try:
        async with asyncio.timeout(topic.deadline_s):
            await admin.start()
            partitions = await _count_partitions(admin, topic)
            if partitions == 0:
                await _create(admin, topic)
            else:
                _check(topic, partitions, await _read_settings(admin, topic))
    except (TimeoutError, KafkaError) as error:
        raise Unavailable(
            f"log.url: no Kafka broker at {topic.servers} answers as it should ({error!r})"
        ) from error
    finally:
        await admin.close()


async def _count_partitions(admin: AIOKafkaAdminClient, topic: KafkaTopic) -> int:
    """Answer with 0 for a topic that does not exist."""
    known = {each["topic"]: each for each in await admin.describe_topics([topic.name])}
    return len(known[topic.name]["partitions"]) if topic.name in known else 0


async def _create(admin: AIOKafkaAdminClient, topic: KafkaTopic) -> None:
    brokers = len((await admin.describe_cluster())["brokers"])
    replication = min(3, brokers)
    settings = {
        **_REQUIRED,
        "max.message.bytes": str(_MAX_MESSAGE_BYTES),
        "unclean.leader.election.enable": "false",
        "min.insync.replicas": "2" if replication >= 3 else "1",
    }
    wanted = NewTopic(topic.name, topic.partitions, replication, topic_configs=settings)
    answer: Any = await admin.create_topics([wanted])
    for name, code, *_ in answer.topic_errors:
        if for_code(code) is TopicAlreadyExistsError:
            # Another process was faster. Its topic is looked at when this one tries again.
            raise Unavailable(f"log.url: topic {name} is being made by another process")
        if code != 0:
            raise for_code(code)(f"topic {name} cannot be made")


async def _read_settings(admin: AIOKafkaAdminClient, topic: KafkaTopic) -> Mapping[str, str]:
    wanted = dict.fromkeys([*_REQUIRED, "max.message.bytes"])
    resource = ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=wanted)
    settings: dict[str, str] = {}
    for answer in await admin.describe_configs([resource]):
        for code, message, _type, name, entries in answer.resources:
            if code != 0:
                raise for_code(code)(f"settings of topic {name} cannot be read: {message}")
            settings.update((entry[0], entry[1]) for entry in entries)
    return settings


def _check(topic: KafkaTopic, partitions: int, settings: Mapping[str, str]) -> None:
    if partitions != topic.partitions:
        raise Misconfigured(
            "log.partitions",
            f"topic {topic.name} has {partitions} partitions, not {topic.partitions}; the count "
            f"belongs to the log: set log.partitions to {partitions}, or drain and adopt a new one",
        )
    for key, required in _REQUIRED.items():
        if settings[key] != required:
            raise Misconfigured(
                f"topic {topic.name}: {key}",
                f"is {settings[key]!r} and must be {required!r}, else events are lost; "
                f"alter the topic with --add-config {key}={required}",
            )
    if int(settings["max.message.bytes"]) < _MAX_MESSAGE_BYTES:
        raise Misconfigured(
            f"topic {topic.name}: max.message.bytes",
            f"is {settings['max.message.bytes']} and must be at least {_MAX_MESSAGE_BYTES}; "
            f"alter the topic with --add-config max.message.bytes={_MAX_MESSAGE_BYTES}",
        )
