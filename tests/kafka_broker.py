"""A real Apache Kafka for the tests: one node, ended with its starter."""

import base64
import fcntl
import functools
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.kafka_jars import KAFKA_VERSION, kafka_jars
from tests.standstill import stand_still

_LOGGING = """rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c %m%n
"""

_SETTINGS = """process.roles=broker,controller
node.id={node}
{quorum}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{advertised_port},CONTROLLER://127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={directory}/data
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=2
broker.heartbeat.interval.ms=300
broker.session.timeout.ms=1500
metadata.max.idle.interval.ms=0
"""
# A broker that was killed comes back only when its old session is over, 9 s later by default.
# One that nobody asks for anything writes nothing, where it would write twice a second.

_ALWAYS = ("-Xms384m", "-Xmx384m", "-Djava.awt.headless=true")
# Java for brokers that live for seconds, which starts with half of the work; and that carry load.
SOON, STRONG = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"), ("-XX:+UseG1GC",)
_TERMINATED = 143  # what Java exits with when it is asked to end


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now, all different.

    None of those that systems give to clients: one of them might have it when it is taken."""
    found: set[int] = set()
    while len(found) < count:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", 16_384 + secrets.randbelow(16_384)))
            found.add(probe.getsockname()[1])
    return list(found)


class Node(NamedTuple):
    """Where a node of a cluster listens: for clients, for the other nodes; and what it tells
    clients, where that is something else, as a proxy in front of it is."""

    number: int
    port: int
    controller_port: int
    advertised_port: int


def nodes(count: int) -> list[Node]:
    """Nodes on ports nobody listens on now."""
    ports = free_ports(2 * count)
    return [
        Node(number + 1, ports[2 * number], ports[2 * number + 1], ports[2 * number])
        for number in range(count)
    ]


class Guard(NamedTuple):
    """Further settings of a broker, which go before the others, and who may log in with SCRAM."""

    settings: str = ""
    users: Sequence[str] = ()


class Broker:
    """One Kafka node on loopback, with its own data, that can be killed and started again.

    Alone, unless it is told the nodes of its cluster and the cluster's id."""

    def __init__(
        self,
        node: Node | None = None,
        cluster: Sequence[Node] = (),
        cluster_id: str = "",
        guard: Guard = Guard(),  # noqa: B008 - it is empty, and nothing can be put into it
        machine: Sequence[str] = (),
    ) -> None:
        self._jars = kafka_jars()
        self._machine = machine or (*SOON, *_with_classes())
        self.directory = Path(tempfile.mkdtemp(prefix="beleg-kafka-"))
        self._node = node or nodes(1)[0]
        self.port = self._node.advertised_port
        self._process: subprocess.Popen[bytes] | None = None
        (self.directory / "log4j2.properties").write_text(_LOGGING)
        voters = ",".join(f"{each.number}@127.0.0.1:{each.controller_port}" for each in cluster)
        alone = f"controller.quorum.bootstrap.servers=127.0.0.1:{self._node.controller_port}"
        (self.directory / "server.properties").write_text(
            _SETTINGS.format(
                node=self._node.number,
                quorum=f"controller.quorum.voters={voters}" if voters else alone,
                port=self._node.port,
                advertised_port=self._node.advertised_port,
                controller_port=self._node.controller_port,
                replicas=len(cluster) or 1,
                directory=self.directory,
            )
            + guard.settings
        )
        known = cluster_id or fresh_cluster_id()
        standalone = () if cluster else ("--standalone",)
        settings = str(self.directory / "server.properties")
        users = [word for user in guard.users for word in ("--add-scram", user)]
        format_it = ("format", *standalone, "-t", known, "-c", settings, *users)
        tool = self._java("kafka.tools.StorageTool", *format_it)
        subprocess.run(tool, capture_output=True, check=True)

    @property
    def servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Return once the broker takes connections."""
        self.launch()
        self.wait_until_listening()

    def launch(self) -> None:
        """Start the broker without waiting for it.

        From the main thread only: the leash of the process is the thread that started it."""
        with (self.directory / "broker.log").open("ab") as output:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", str(self.directory / "server.properties")),
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
            )

    def wait_until_listening(self) -> None:
        process = self._running()
        give_up_at = time.monotonic() + 120
        while not self._listens():
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError("Kafka did not start:\n" + self.log())
            time.sleep(0.1)

    def kill(self) -> None:
        """End the broker as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """End the broker in an orderly way, and give its exit code."""
        return self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Let the broker hold its connections and answer nothing, from now on."""
        stand_still(self._running().pid)

    def resume(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    def ensure_running(self) -> None:
        """Undo what a test did to the broker: start it, or let it go on."""
        if self._process is None:
            self.start()
        else:
            self.resume()

    def close(self) -> None:
        """End the broker and remove its data."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def log(self) -> str:
        return (self.directory / "broker.log").read_text(errors="replace")[-4000:]

    def _end(self, how: signal.Signals) -> int:
        (process := self._running()).send_signal(how)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None
        return process.returncode

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the broker is not running"
        return self._process

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._node.port)) == 0

    def _java(self, *arguments: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self.directory / 'log4j2.properties'}"
        # A test run that is killed takes its broker with it, where the system can do that.
        leash = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        options = (*_ALWAYS, *self._machine, logging, "-cp", f"{self._jars}/*")
        return [*leash, "java", *options, *arguments]


@functools.cache
def _with_classes() -> Sequence[str]:
    """Give the option by which Java has Kafka's classes from an archive: half of a start less.

    Made once, by a broker that starts and ends; Java goes without one that is not its own."""
    archive = kafka_jars().with_name(f"kafka-{KAFKA_VERSION}.jsa")
    with archive.with_suffix(".lock").open("w") as lock, tempfile.TemporaryDirectory() as directory:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            made = Path(directory) / archive.name
            with closing(Broker(machine=(*SOON, f"-XX:ArchiveClassesAtExit={made}"))) as broker:
                broker.start()
                if broker.stop() == _TERMINATED:
                    shutil.move(made, archive)
    return (f"-XX:SharedArchiveFile={archive}",) if archive.exists() else ()


def fresh_cluster_id() -> str:
    """An id that no cluster has, as Kafka writes them: none begins with a dash."""
    return base64.urlsafe_b64encode(b"b" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


def fresh_topic() -> str:
    """A topic name nobody used before; the topic, if it is made, goes with the broker."""
    return f"test-{uuid.uuid4().hex[:12]}"


@contextmanager
def running_broker(
    node: Node | None = None,
    guard: Guard = Guard(),  # noqa: B008 - as above
    machine: Sequence[str] = (),
) -> Iterator[Broker]:
    """A broker for a while, ended whatever happens in it."""
    broker = Broker(node, guard=guard, machine=machine)
    try:
        broker.start()
        yield broker
    finally:
        broker.close()
