"""How Kafka's brokers are reached: in the open or through TLS, and as whom.

Every client of aiokafka in this house is made with `KafkaTopic.connection`, which has it from here.
"""

import asyncio
import ssl
from typing import Any, NamedTuple

from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from spine.errors import Misconfigured
from spine.settings import LogSettings, Secret
from spine.trust import trusting


class KafkaLogin(NamedTuple):
    """What a client shows to a broker, and asks of it.

    Shape: without a `tls` context nothing is encrypted, without a `mechanism` nobody is named."""

    tls: ssl.SSLContext | None = None
    mechanism: str = ""
    username: str = ""
    password: str = Secret("")

    @property
    def options(self) -> dict[str, Any]:
        """What aiokafka's clients call it."""
        protocol = "SSL" if self.tls else "PLAINTEXT"
        options: dict[str, Any] = {"security_protocol": protocol, "ssl_context": self.tls}
        if self.mechanism:
            options |= {
                "security_protocol": f"SASL_{protocol}",
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        return options


def login_of(log: LogSettings) -> KafkaLogin:
    """Give the login that the settings name. Raises: Misconfigured that names a bad file."""
    tls = _context(log) if log.security == "tls" else None
    return KafkaLogin(tls, log.sasl_mechanism, log.username, log.password)


def _context(log: LogSettings) -> ssl.SSLContext:
    context = trusting("log.ca_file", log.ca_file)
    if log.cert_file:
        try:
            context.load_cert_chain(log.cert_file, log.key_file, password="")  # never ask
        except OSError as error:  # an SSLError is one too
            why = f"{log.cert_file} and {log.key_file} are no certificate with its key: {error}"
            raise Misconfigured("log.cert_file", why) from error
    return context


async def objection(servers: str, login: KafkaLogin, deadline_s: float) -> str | None:
    """Say by the name of a setting why brokers do not let us in, if that is the reason.

    aiokafka's clients tell only that they could not connect."""
    for server in servers.split(","):
        try:
            async with asyncio.timeout(deadline_s):
                why = await _objection(server, login)
        except (OSError, KafkaError):  # TimeoutError is one: it is away
            continue
        if why is not None:
            return why
    return None


async def _objection(server: str, login: KafkaLogin) -> str | None:
    host, _, port = server.rpartition(":")
    try:
        connection = await create_conn(host.strip("[]"), int(port), **login.options)
    except ssl.SSLCertVerificationError as error:
        return f"log.ca_file: the certificate of {server} is not trusted ({error.verify_message})"
    except ssl.SSLError as error:
        return f"log.security: {server} does not speak TLS with us ({error.reason})"
    except (AuthenticationMethodNotSupported, IllegalSaslStateError, UnsupportedSaslMechanismError):
        return f"log.sasl_mechanism: {server} does not take {login.mechanism}"
    except (AuthenticationFailedError, SaslAuthenticationFailed):
        return f"log.password: {server} does not take it for log.username {login.username}"
    connection.close()
    return None
