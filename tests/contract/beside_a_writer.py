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
ABUSE = "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sipHash64(toString(number)))"


async def main(path: Path) -> None:
    writer = clickhouse_connect.get_client(dsn=f"chdb:///{path}")
    writer.command("CREATE DATABASE beleg")
    writer.command("CREATE TABLE beleg.t (a UInt64) ENGINE = MergeTree ORDER BY a")
    limits = Limits(handles=1, waiting=1, wait_s=0.3, max_execution_time_s=2, grace_s=0.2)
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
