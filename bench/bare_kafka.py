"""Baseline (b): the smallest loop that decodes a batch and calls `send_batch`, on aiohttp.

No keys, no consent, no checks, no record of its own: the bytes of each event go to the log as they
came. What gathers while Kafka answers, at least 3 ms, goes out together.
Prints its address.
"""

import asyncio
import sys
import time
from zlib import crc32

import msgspec
import uvloop
from aiohttp import web
from aiokafka import AIOKafkaProducer

from bench.bare_http import serve

_PARTITIONS = 12
_WINDOW_S = 0.003


class _Head(msgspec.Struct):
    event_id: str


class _Body(msgspec.Struct):
    events: list[msgspec.Raw]


_body = msgspec.json.Decoder(_Body)
_head = msgspec.json.Decoder(_Head)


class _Gathered:
    """What goes out together."""

    def __init__(self) -> None:
        self.lanes: list[list[bytes]] = [[] for _ in range(_PARTITIONS)]
        self.sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class _Bare:
    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._gathered = _Gathered()

    async def take(self, request: web.Request) -> web.Response:
        events = _body.decode(await request.read()).events
        gathered = self._gathered
        for raw in events:
            partition = crc32(_head.decode(raw).event_id.encode()) % _PARTITIONS
            gathered.lanes[partition].append(bytes(raw))
        await asyncio.shield(gathered.sent)
        return web.Response(status=202, body=b'{"accepted":%d,"results":[]}' % len(events))

    async def send_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_WINDOW_S)
            gathered, self._gathered = self._gathered, _Gathered()
            await self._send(gathered)

    async def _send(self, gathered: _Gathered) -> None:
        now_ms = int(time.time() * 1000)
        acked = []
        for partition, values in enumerate(gathered.lanes):
            first = 0
            while first < len(values):
                builder = self._producer.create_batch()
                for value in values[first:]:
                    if builder.append(timestamp=now_ms, key=None, value=value) is None:
                        break
                first += builder.record_count()
                acked.append(
                    await self._producer.send_batch(builder, self._topic, partition=partition)
                )
        await asyncio.gather(*acked)
        gathered.sent.set_result(None)


async def _main(servers: str, topic: str) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, acks="all", max_batch_size=256 * 1024, max_request_size=1 << 20
    )
    await producer.start()
    bare = _Bare(producer, topic)
    app = web.Application()
    app.router.add_post("/v1/events", bare.take)
    await asyncio.gather(serve(app), bare.send_for_ever())


if __name__ == "__main__":
    uvloop.run(_main(sys.argv[1], sys.argv[2]))
