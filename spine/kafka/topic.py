"""The topic a Kafka log is kept in: made when it is absent, refused when it would lose events."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
    NotCoordinatorForGroupError,
    TopicAlreadyExistsError,
    for_code,
)

from spine.errors import Misconfigured, Unavailable
from spine.kafka.login import KafkaLogin, objection

MAX_VALUE_BYTES = 4 * 1024 * 1024
"""The largest value a Kafka log takes."""

_MAX_MESSAGE_BYTES = MAX_VALUE_BYTES + 1024  # a value alone in its batch, with the batch's header

# Without LogAppendTime a client's clock decides what retention deletes, and compaction would eat
# the copies of an event, which share no key but would share the absence of one.
_REQUIRED = {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime"}

# Of the control log the last value of each key is kept for ever, and all of them for a day, so
# that everybody sees what several have written at once (`spine.control.followed`).
_REQUIRED_OF_CONTROL = {
    "cleanup.policy": "compact",
    "message.timestamp.type": "LogAppendTime",
    "min.compaction.lag.ms": "86400000",
}

# Of salts nothing is kept for much longer than a day of 25 hours, the ten minutes before it, and
# two hours and more by which clocks may be apart. What has to go is told by time alone:
# compaction would wait for later values.
_REQUIRED_OF_SALTS = {
    "cleanup.policy": "delete",
    "message.timestamp.type": "LogAppendTime",
    "retention.ms": "100800000",
    "segment.ms": "3600000",
}

_REQUIRED_OF = {
    "events": _REQUIRED,
    "control": _REQUIRED_OF_CONTROL,
    "salts": _REQUIRED_OF_SALTS,
}

_LOSS_OF = {
    "events": "events are lost",
    "control": "withdrawals are lost",
    "salts": "salts outlive their day",
}

# What keeps an acknowledged event through the loss of a broker, where there are three.
_SAFE = ("min.insync.replicas", "unclean.leader.election.enable")


class KafkaTopic(NamedTuple):
    """Where a Kafka log is: the brokers to ask first, the topic, and how long a call may take.

    Shape: `servers` is "host:port", several separated by commas. Who appends waits for
    `patience_ms` where that is shorter than the deadline.
    """

    servers: str
    name: str
    partitions: int
    deadline_ms: int = 5000
    patience_ms: int = 3_600_000
    login: KafkaLogin = KafkaLogin()
    kind: Literal["events", "control", "salts"] = "events"

    @property
    def control(self) -> "KafkaTopic":
        """The topic of the control log that belongs to this one."""
        return self._replace(name=f"{self.name}-control", partitions=1, kind="control")

    @property
    def salts(self) -> "KafkaTopic":
        """The topic of the salts of visitor ids that belongs to this one."""
        return self._replace(name=f"{self.name}-salts", partitions=1, kind="salts")

    @property
    def compacted(self) -> bool:
        """Whether it keeps the last value of each key; else it keeps values without their keys."""
        return self.kind == "control"

    @property
    def required(self) -> Mapping[str, str]:
        """The settings without which it would lose what it was given, or keep what has to go."""
        return _REQUIRED_OF[self.kind]

    @property
    def connection(self) -> dict[str, Any]:
        """What every client of this topic is made with."""
        return {"bootstrap_servers": self.servers, **self.login.options}

    @property
    def deadline_s(self) -> float:
        """The deadline in seconds, as asyncio wants it."""
        return self.deadline_ms / 1000

    @property
    def patience_s(self) -> float:
        """The patience in seconds."""
        return self.patience_ms / 1000


async def provide(topic: KafkaTopic) -> None:
    """Return once the topic exists with settings that keep every event.

    Raises: Unavailable, Misconfigured."""
    async with _asking(topic) as admin:
        if not await _replicas(admin, topic) and await _create(admin, topic):
            return
        while True:  # what somebody else has made just now may not be told of yet
            if partitions := len(await _replicas(admin, topic)):
                break
            await asyncio.sleep(0.1)
        _check(topic, partitions, await _read_settings(admin, topic))


async def inspect(topic: KafkaTopic) -> Sequence[str]:
    """Say what about a topic risks accepted events, changing nothing; empty when all is well.

    Raises: Unavailable, Misconfigured (also when there is no topic)."""
    async with _asking(topic) as admin:
        replicas = await _replicas(admin, topic)
        if not replicas:
            raise Misconfigured("log.topic", f"there is no {topic.name} yet: run `beleg migrate`")
        settings = await _read_settings(admin, topic)
        _check(topic, len(replicas), settings)
    risks = []
    if min(replicas) < 3:
        risks.append(f"topic {topic.name} has {min(replicas)} replica(s): keep 3")
    if int(settings["min.insync.replicas"]) < 2:
        risks.append(f"topic {topic.name}: min.insync.replicas is 1: set it to 2")
    if settings["unclean.leader.election.enable"] != "false":
        risks.append(f"topic {topic.name}: unclean.leader.election.enable is on: turn it off")
    return risks


async def retention_ms(topic: KafkaTopic) -> int:
    """Give how long a topic keeps what it has; below 0 is for ever. Raises: Unavailable."""
    async with _asking(topic) as admin:
        return int((await _read_settings(admin, topic))["retention.ms"])


async def members(topic: KafkaTopic, group: str) -> int:
    """Give the number of processes that are in a group of readers now. Raises: Unavailable."""
    async with _asking(topic) as admin:
        while True:  # a broker that has just started may not know yet; the deadline ends it
            if (described := await _described(admin, group)) is not None:
                return len(described)
            await asyncio.sleep(0.2)


async def _described(admin: AIOKafkaAdminClient, group: str) -> Sequence[object] | None:
    try:
        (answer,) = await admin.describe_consumer_groups([group])
        ((code, _name, _state, _protocol_type, _protocol, found, *_),) = answer.groups
        if code != 0:
            raise for_code(code)(f"group {group} cannot be described")
    except (
        GroupCoordinatorNotAvailableError,
        GroupLoadInProgressError,
        NotCoordinatorForGroupError,
    ):
        return None
    return list(found)


@asynccontextmanager
async def _asking(topic: KafkaTopic) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**topic.connection, request_timeout_ms=topic.deadline_ms)
    try:
        async with asyncio.timeout(topic.deadline_s):
            await admin.start()
            yield admin
    except (TimeoutError, KafkaError) as error:
        why = await objection(topic.servers, topic.login, topic.deadline_s)
        raise Unavailable(
            why or f"log.url: no Kafka broker at {topic.servers} answers as it should ({error!r})"
        ) from error
    finally:
        await admin.close()


async def _replicas(admin: AIOKafkaAdminClient, topic: KafkaTopic) -> Sequence[int]:
    """Answer with the number of replicas of each partition; empty when there is no topic."""
    known = {each["topic"]: each for each in await admin.describe_topics([topic.name])}
    if topic.name not in known:
        return []
    return [len(partition["replicas"]) for partition in known[topic.name]["partitions"]]


async def _create(admin: AIOKafkaAdminClient, topic: KafkaTopic) -> bool:
    """Make the topic; say whether nobody else was faster, perhaps with other settings."""
    brokers = len((await admin.describe_cluster())["brokers"])
    replication = min(3, brokers)
    settings = {
        **topic.required,
        "max.message.bytes": str(_MAX_MESSAGE_BYTES),
        "unclean.leader.election.enable": "false",
        "min.insync.replicas": "2" if replication >= 3 else "1",
    }
    wanted = NewTopic(topic.name, topic.partitions, replication, topic_configs=settings)
    answer: Any = await admin.create_topics([wanted])
    for name, code, *_ in answer.topic_errors:
        if for_code(code) is TopicAlreadyExistsError:
            return False
        if code != 0:
            raise for_code(code)(f"topic {name} cannot be made")
    return True


async def _read_settings(admin: AIOKafkaAdminClient, topic: KafkaTopic) -> Mapping[str, str]:
    wanted = dict.fromkeys([*topic.required, *_SAFE, "max.message.bytes", "retention.ms"])
    resource = ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=wanted)
    settings: dict[str, str] = {}
    for answer in await admin.describe_configs([resource]):
        for code, message, _type, name, entries in answer.resources:
            if code != 0:
                raise for_code(code)(f"settings of topic {name} cannot be read: {message}")
            settings.update((entry[0], entry[1]) for entry in entries)
    return settings


def _check(topic: KafkaTopic, partitions: int, settings: Mapping[str, str]) -> None:
    if partitions != topic.partitions and topic.kind != "events":
        raise Misconfigured(
            f"topic {topic.name}", f"has {partitions} partitions and must have 1; delete it"
        )
    if partitions != topic.partitions:
        raise Misconfigured(
            "log.partitions",
            f"topic {topic.name} has {partitions} partitions, not {topic.partitions}; the count "
            f"belongs to the log: set log.partitions to {partitions}; if the topic was changed, "
            "stop all collectors and processors, then `beleg log adopt`",
        )
    for key, required in topic.required.items():
        if settings[key] != required:
            raise Misconfigured(
                f"topic {topic.name}: {key}",
                f"is {settings[key]!r} and must be {required!r}, else {_LOSS_OF[topic.kind]}; "
                f"alter the topic with --add-config {key}={required}",
            )
    if int(settings["max.message.bytes"]) < _MAX_MESSAGE_BYTES:
        raise Misconfigured(
            f"topic {topic.name}: max.message.bytes",
            f"is {settings['max.message.bytes']} and must be at least {_MAX_MESSAGE_BYTES}; "
            f"alter the topic with --add-config max.message.bytes={_MAX_MESSAGE_BYTES}",
        )
