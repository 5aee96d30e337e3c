"""The load: a process of its own that posts events over raw sockets and checks every answer.

Closed loop: each connection posts as soon as it is answered. Open loop: requests have times, and a
latency counts from the time a request was due. One that finds no connection free opens another, as
a browser does, while there are fewer than `most` and fewer than 64 are being opened (to open
thousands at once takes seconds, of which none is the collector's); else it waits. What was accepted
and what was turned away have latencies of their own. A connection that is closed is opened anew.
"""

import asyncio
import contextlib
import resource
import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from typing import NamedTuple, cast

import msgspec
import orjson
import uvloop

from bench.traffic import MARK, Span, as_server, ring, visits

_RING_BODIES = 256
_LENGTH = b"\r\nContent-Length: "
_LAST = b"\r\nConnection: close"
_PATIENCE_S = 60.0
_TICK_S = 0.001
_OPENING = 64


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to post.

    Shape: until `seconds` are over, or the `events` of `span` once; `rate` makes an open loop, in
    which `connections` may become `most`; `sheds` says that 503 is no wrong answer. What is due in
    the first `lead_s` has no latency.
    Units: `rate` is requests per second; `first_ms` and `last_ms` are milliseconds since 1970."""

    address: str
    key: str
    batch: int = 1
    connections: int = 64
    most: int = 64
    seconds: float = 3600.0
    lead_s: float = 0.0
    rate: float | None = None
    events: int | None = None
    first_ms: int = 0
    last_ms: int = 0
    by_server: bool = False
    status: int = 202
    sheds: bool = False


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Shape: latencies are of what was accepted, `shed_p99_ms` of what was turned away; `late_p99_ms`
    is how late the load itself was to send, or to open a connection for, what was due;
    `connections` is the most there were; `wrong` counts statuses and bodies that were not as they
    must be."""

    requests: int
    events: int
    seconds: float
    p50_ms: float
    p99_ms: float
    shed: int
    shed_p99_ms: float
    late_p99_ms: float
    connections: int
    cpu_s: float
    wrong: dict[str, int]


class _Post(NamedTuple):
    events: int
    content: bytes
    due_at: float


class _Load:
    def __init__(self, order: Order) -> None:
        self.order = order
        self.clock = time.monotonic  # that of uvloop stands still while callbacks run
        self.posts = _posts(order)
        self.free: deque[_Connection] = deque()
        self.due: deque[float] = deque()
        self.latencies_s = array("d")
        self.shed_latencies_s = array("d")
        self.lateness_s = array("d")
        self.measured_from = 0.0
        self.requests = self.shed = self.events = self.connections = self.under_way = 0
        self.open, self.started = True, False
        self.opening: set[asyncio.Task[None]] = set()
        self.wrong: Counter[str] = Counter()

    def next_post(self, due_at: float | None = None) -> _Post | None:
        if not self.open or (found := next(self.posts, None)) is None:
            self.open = False
            return None
        self.under_way += 1
        return _Post(found[0], found[1], self.clock() if due_at is None else due_at)

    def answered(self, post: _Post, status: int, body: bytes) -> None:
        self.under_way -= 1
        took_s = self.clock() - post.due_at
        accepted = self.order.status == 204 or body.startswith(b'{"accepted":%d,' % post.events)
        if status == self.order.status and accepted:
            self.requests += 1
            self.events += post.events
            if post.due_at >= self.measured_from:
                self.latencies_s.append(took_s)
        elif status == 503 and self.order.sheds:
            self.shed += 1
            if post.due_at >= self.measured_from:
                self.shed_latencies_s.append(took_s)
        else:
            self.wrong[str(status) if status != self.order.status else "not accepted"] += 1

    def goes_on(self, connection: "_Connection") -> None:
        if self.order.rate is None:
            following = self.next_post()
        else:
            following = self.next_post(self.due.popleft()) if self.due else None
        if following is not None:
            connection.post(following)
        else:
            self.free.append(connection)

    def lost(self, connection: "_Connection", post: _Post | None) -> None:
        """Count what a closed connection was not answered, and open another in its place."""
        with contextlib.suppress(ValueError):
            self.free.remove(connection)
        if post is not None:
            self.under_way -= 1
            self.wrong["reset" if self.order.sheds else "0"] += 1
        self.connections -= 1
        if self.open and (self.order.rate is None or self.due):
            self.open_another()

    def open_another(self) -> None:
        few = self.connections < self.order.most and len(self.opening) < _OPENING
        if few or self.order.rate is None:
            self.connections += 1
            opening = asyncio.get_running_loop().create_task(self.connect())
            self.opening.add(opening)
            opening.add_done_callback(self.opening.discard)

    async def connect(self) -> None:
        host, port = self.order.address.rsplit(":", 1)
        made: Callable[[], _Connection] = lambda: _Connection(self)  # noqa: E731
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(made, host, int(port))
        except OSError:
            await asyncio.sleep(0.1)
            await self.connect()
            return
        if self.started:
            self.goes_on(connection)
        else:
            self.free.append(connection)

    async def keep_time(self, rate: float) -> None:
        """Let requests become due, in ticks: a wait for each of them would cost more than it."""
        began_at = self.clock()
        for number in count():
            due_at = began_at + number / rate
            if due_at > began_at + self.order.seconds:
                return
            while due_at > self.clock():
                await asyncio.sleep(_TICK_S)
            self.falls_due(due_at)

    def falls_due(self, due_at: float) -> None:
        self.lateness_s.append(self.clock() - due_at)
        if self.free and (post := self.next_post(due_at)) is not None:
            self.free.popleft().post(post)
        else:
            self.due.append(due_at)
            self.open_another()


class _Connection(asyncio.Protocol):
    def __init__(self, load: _Load) -> None:
        self._load = load
        self._received = b""
        self._post: _Post | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost(self, self._post)

    def post(self, post: _Post) -> None:
        self._post = post
        self._transport.write(post.content)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0 or self._post is None:
            return
        at = self._received.find(_LENGTH, 0, head_end)
        length = self._received[at + len(_LENGTH) : head_end].split(b"\r", 1)[0] if at > 0 else 0
        end = head_end + 4 + int(length)
        if len(self._received) < end:
            return
        status, body = int(self._received[9:12]), self._received[head_end + 4 : end]
        last = self._received.find(_LAST, 0, head_end) > 0
        self._received = self._received[end:]
        post, self._post = self._post, None
        self._load.answered(post, status, body)
        if not last:  # else another is opened when this one is closed
            self._load.goes_on(self)


def _posts(order: Order) -> Iterator[tuple[int, bytes]]:
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: {order.address}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {order.key}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64;"
        " rv:145.0) Gecko/20100101 Firefox/145.0\r\nAccept: */*\r\nContent-Length: "
    ).encode()
    if order.events is None:
        bodies = [
            head + b"%d\r\n\r\n" % len(body) + body
            for body in ring(_RING_BODIES, order.batch, time.time_ns() // 1_000_000)
        ]
        first = time.time_ns() // 10_000 % 10**8  # no load makes 100,000 bodies a second
        for number in count(first):
            mark = b"%08d" % (number % 10**8)
            yield order.batch, bodies[number % _RING_BODIES].replace(MARK, mark)
    found = visits(order.events or 0, Span(order.first_ms, order.last_ms))
    while some := list(islice(found, order.batch)):
        events = [as_server(event) for event in some] if order.by_server else some
        body = orjson.dumps({"events": events})
        yield len(some), head + b"%d\r\n\r\n" % len(body) + body


async def _run(order: Order) -> Result:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    load = _Load(order)
    loop = asyncio.get_running_loop()
    for _ in range(order.connections):
        load.connections += 1
        await load.connect()
    load.started = True
    cpu_s = _cpu_s()
    began_at = load.clock()
    load.measured_from = began_at + order.lead_s
    if order.rate is None:
        waiting, load.free = load.free, deque()
        for connection in waiting:
            load.goes_on(connection)
        closing = loop.call_later(order.seconds, setattr, load, "open", False)
    else:
        await load.keep_time(order.rate)
        closing = loop.call_later(0, setattr, load, "open", False)
    async with asyncio.timeout(order.seconds + _PATIENCE_S):
        while load.open or load.under_way:
            await asyncio.sleep(0.02)
    closing.cancel()
    took_s = load.clock() - began_at
    return Result(
        requests=load.requests,
        events=load.events,
        seconds=took_s,
        p50_ms=_quantile_ms(load.latencies_s, 0.5),
        p99_ms=_quantile_ms(load.latencies_s, 0.99),
        shed=load.shed,
        shed_p99_ms=_quantile_ms(load.shed_latencies_s, 0.99),
        late_p99_ms=_quantile_ms(load.lateness_s, 0.99),
        connections=load.connections,
        cpu_s=_cpu_s() - cpu_s,
        wrong=dict(load.wrong),
    )


def _quantile_ms(latencies_s: Sequence[float], share: float) -> float:
    found = sorted(latencies_s)
    return 1000 * found[min(len(found) - 1, int(len(found) * share))] if found else 0.0


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    wanted = msgspec.json.decode(sys.argv[1], type=Order)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(msgspec.json.encode(runner.run(_run(wanted))).decode())
