"""A proxy before a Kafka broker that loses acknowledgements: it cuts a connection after the broker
wrote what was sent, before its answer arrives.

Source: Kafka protocol guide; a request begins with its length, its kind (0 is Produce), a version
and the number that its answer begins with.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.kafka_broker import Node

_PRODUCE = 0


class CuttingProxy:
    """Lets everything through but so many answers to Produce requests as it is told to lose."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._connections: set[asyncio.Task[None]] = set()
        self.to_lose = 0
        self.lost = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            to, back = await asyncio.open_connection("127.0.0.1", self.node.port)
        except OSError:
            writer.close()
            return
        produced: set[bytes] = set()
        pumps = [
            asyncio.create_task(self._requests(reader, back, produced)),
            asyncio.create_task(self._answers(to, writer, produced)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            writer.close()
            back.close()
            self._connections.discard(task)

    async def _requests(
        self, reader: asyncio.StreamReader, back: asyncio.StreamWriter, produced: set[bytes]
    ) -> None:
        while frame := await _frame(reader):
            if int.from_bytes(frame[4:6], "big") == _PRODUCE:
                produced.add(frame[8:12])
            back.write(frame)
            await back.drain()

    async def _answers(
        self, to: asyncio.StreamReader, writer: asyncio.StreamWriter, produced: set[bytes]
    ) -> None:
        while frame := await _frame(to):
            if frame[4:8] in produced and self.to_lose > 0:
                self.to_lose -= 1
                self.lost += 1
                return
            produced.discard(frame[4:8])
            writer.write(frame)
            await writer.drain()

    async def close(self) -> None:
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """Give a whole frame with its length; nothing at the end."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        length = await reader.readexactly(4)
        return length + await reader.readexactly(int.from_bytes(length, "big"))
    return b""


async def _serve(proxy: CuttingProxy, listening: threading.Event, ended: asyncio.Event) -> None:
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", proxy.node.advertised_port)
    listening.set()
    await ended.wait()
    server.close()
    await proxy.close()


@contextmanager
def cutting_proxy(node: Node) -> Iterator[CuttingProxy]:
    """Stand before a broker of this node while the block runs, in a thread of its own."""
    proxy, listening = CuttingProxy(node), threading.Event()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()
    thread = threading.Thread(
        target=loop.run_until_complete, args=[_serve(proxy, listening, ended)]
    )
    thread.start()
    try:
        assert listening.wait(30)
        yield proxy
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(30)
        loop.close()
