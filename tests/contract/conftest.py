"""A broker that tests may break, and a topic of their own on it."""

import gc
import warnings
from collections.abc import Iterator

import pytest

from spine.kafka.topic import KafkaTopic
from tests.kafka_broker import Broker, fresh_topic
from tests.kafka_logs import DEADLINE_MS


@pytest.fixture
def broker(kafka_broker: Broker) -> Iterator[Broker]:
    """The session's broker, which is running again after the test whatever the test did to it."""
    yield kafka_broker
    kafka_broker.ensure_running()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def topic(broker: Broker) -> KafkaTopic:
    return KafkaTopic(broker.servers, fresh_topic(), 3, DEADLINE_MS)
