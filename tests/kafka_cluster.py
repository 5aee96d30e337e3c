"""Three real Kafka brokers that keep every record three times."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from tests.kafka_broker import Broker, fresh_cluster_id, nodes


class Cluster(NamedTuple):
    brokers: Sequence[Broker]

    @property
    def servers(self) -> str:
        return ",".join(broker.servers for broker in self.brokers)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster for a while, ended whatever happens in it."""
    members = nodes(3)
    cluster_id = fresh_cluster_id()
    brokers = [Broker(member, members, cluster_id) for member in members]
    try:
        for broker in brokers:
            broker.launch()
        for broker in brokers:
            broker.wait_until_listening()
        yield Cluster(brokers)
    finally:
        for broker in brokers:
            broker.close()
