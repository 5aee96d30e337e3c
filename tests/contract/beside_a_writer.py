"""A program for test_endpoint: one process that writes a store and serves it to readers.

It is a process of its own because chDB takes one directory per process."""

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path

import aiohttp
import clickhouse_connect

from reports.endpoint import serve
from reports.engine import Limits

SLOW = "SELECT sum(number) FROM numbers(1000000000000)"
# Quadratic in a text that is made for it, in one call of one function: no clock is looked at.
STUCK = "SELECT replaceRegexpAll(repeat('a', 130000), '(a|aa|aaa)*b|a', 'x')"
LARGE = "SELECT repeat('x', 1000) FROM numbers(35000)"
RANDOM = "SELECT randomPrintableASCII(1000) FROM numbers(30030)"
PACKED = {"enable_http_compression": "1"}
ABUSE = "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sipHash64(toString(number)))"


async def unread_answer(address: str) -> asyncio.StreamWriter:
    """Ask for more than the buffers of sockets hold, and read nothing but that it comes."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1_024)
    head = f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(LARGE)}\r\n\r\n"
    writer.write(head.encode() + LARGE.encode())
    assert b" 200 " in await reader.readline()
    return writer


async def packed_answer(http: aiohttp.ClientSession, url: str) -> float:
    """Ask for what takes long to pack; give the seconds it took."""
    began = time.monotonic()
    wanted = {"Accept-Encoding": "deflate"}
    async with http.post(url, data=RANDOM, params=PACKED, headers=wanted) as response:
        assert response.headers["Content-Encoding"] == "deflate"
        assert len(await response.read()) > 30_000_000
    return time.monotonic() - began


async def main(path: Path) -> None:
    writer = clickhouse_connect.get_client(dsn=f"chdb:///{path}")
    writer.command("CREATE DATABASE beleg")
    writer.command("CREATE TABLE beleg.t (a UInt64) ENGINE = MergeTree ORDER BY a")
    limits = Limits(
        handles=1,
        waiting=1,
        wait_s=0.3,
        max_execution_time_s=2,
        grace_s=0.2,
        max_result_bytes=40_000_000,
        unread_s=2,
    )
    endpoint = await serve(path, "127.0.0.1:0", limits)
    url = f"http://{endpoint.address}/"

    def write() -> None:
        for first in range(0, 50_000, 1_000):
            rows = [list(range(first, first + 1_000))]
            writer.insert("beleg.t", rows, column_names=["a"], column_oriented=True)

    async with aiohttp.ClientSession() as http:

        async def ask(query: str) -> tuple[int, str]:
            async with http.post(url, data=query) as response:
                return response.status, await response.text()

        writing = asyncio.create_task(asyncio.to_thread(write))
        counts = []
        while not writing.done():
            status, text = await ask("SELECT count() FROM t")
            assert status == 200, text
            counts.append(int(text))
        await writing
        assert counts == sorted(counts)
        assert await ask("SELECT count(), sum(a) FROM t") == (200, "50000\t1249975000\n")
        assert (await ask("INSERT INTO t VALUES (1)"))[0] == 500

        slow, busy = await asyncio.gather(ask(SLOW), ask(SLOW))
        assert {slow[0], busy[0]} == {408, 503}, (slow, busy)
        assert (await ask("SELECT 1")) == (200, "1\n")

        began = time.monotonic()
        stuck = await ask(STUCK)
        assert stuck[0] == 408, stuck
        assert "cannot be interrupted" in stuck[1]
        assert (await ask("SELECT 1"))[0] == 503  # its turn is not free before the engine is
        while (again := await ask("SELECT 1")) != (200, "1\n"):
            assert again[0] == 503
            assert time.monotonic() - began < 90

        # Answers that nobody takes are held up to a bound, and not for ever.
        unread = [await unread_answer(endpoint.address) for _ in range(2)]
        assert (await ask("SELECT 1"))[0] == 503
        began = time.monotonic()
        while (again := await ask("SELECT 1")) != (200, "1\n"):
            assert again[0] == 503
            assert time.monotonic() - began < 60
        for one in unread:
            one.transport.abort()

        # One asks, one waits, and a third one is told at once that there are enough.
        few = Limits(handles=1, waiting=1, wait_s=30, max_execution_time_s=1)
        crowded = await serve(path, "127.0.0.1:0", few)
        asking = [
            http.post(f"http://{crowded.address}/", data=SLOW.replace("sum", "max")) for _ in "123"
        ]
        statuses = [answer.status for answer in await asyncio.gather(*asking)]
        assert sorted(statuses) == [408, 408, 503], statuses
        await crowded.close()

        # While a large answer is packed, everything else of the process goes on.
        patient = await serve(path, "127.0.0.1:0", Limits())
        packing = asyncio.create_task(packed_answer(http, f"http://{patient.address}/"))
        late = 0.0
        while not packing.done():
            began = time.monotonic()
            await asyncio.sleep(0.05)
            late = max(late, time.monotonic() - began - 0.05)
        took = await packing
        assert late < took / 2, (late, took)
        await patient.close()

        # What lands goes before what is asked.
        abusing = [asyncio.create_task(ask(ABUSE)) for _ in range(3)]
        await asyncio.to_thread(write)
        answers = Counter([status for status, _ in await asyncio.gather(*abusing)])
        assert answers[503] >= 1, answers  # one asked, one waited, no more
        assert await ask("SELECT count() FROM t") == (200, "100000\n")

    await endpoint.close()
    writer.insert("beleg.t", [[1]], column_names=["a"])
    assert writer.command("SELECT count() FROM beleg.t") == 100_001
    writer.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
