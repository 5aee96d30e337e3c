"""A real Kafka that speaks TLS only, and wants to know who asks: PLAIN and SCRAM."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.kafka_broker import Broker, Guard, nodes, running_broker

USER, PASSWORD = "beleg", "canary_kafka_password"

_MODULE = "org.apache.kafka.common.security"
_SETTINGS = """
listeners=OUTER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=OUTER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
inter.broker.listener.name=OUTER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,OUTER:SASL_SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.outer.plain.sasl.jaas.config={module}.plain.PlainLoginModule required \
 username="{user}" password="{password}" user_{user}="{password}";
listener.name.outer.scram-sha-256.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.outer.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;
ssl.client.auth={client_auth}
ssl.keystore.type=PEM
ssl.keystore.location={server}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
"""


class Certificates(NamedTuple):
    """PEM files: who is trusted, the broker's own with its key, and one of a client."""

    ca: Path
    server: Path
    client: Path
    client_key: Path


def certificates(directory: Path) -> Certificates:
    """Fresh ones, of an authority that nobody else knows."""
    authority = trustme.CA()
    made = Certificates(*(directory / f"{name}.pem" for name in Certificates._fields))
    authority.cert_pem.write_to_path(str(made.ca))
    server, client = authority.issue_cert("127.0.0.1"), authority.issue_cert("beleg@test.example")
    made.server.write_bytes(_pkcs8(server) + _chain(server))
    made.client.write_bytes(_chain(client))
    made.client_key.write_bytes(_pkcs8(client))
    return made


def _chain(issued: trustme.LeafCert) -> bytes:
    return b"".join(each.bytes() for each in issued.cert_chain_pems)


def _pkcs8(issued: trustme.LeafCert) -> bytes:
    """The key in the only form that Kafka reads."""
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@contextmanager
def guarded_broker(made: Certificates, client_auth: str = "none") -> Iterator[Broker]:
    """A broker that asks for the user and, with `required`, for a client's certificate."""
    (node,) = nodes(1)
    settings = _SETTINGS.format(
        port=node.port,
        controller_port=node.controller_port,
        module=_MODULE,
        user=USER,
        password=PASSWORD,
        client_auth=client_auth,
        server=made.server,
        ca=made.ca,
    )
    users = [f"SCRAM-SHA-{bits}=[name={USER},password={PASSWORD}]" for bits in (256, 512)]
    with running_broker(node, Guard(settings, users)) as broker:
        yield broker
