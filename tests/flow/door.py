"""A collector on a free port of loopback, with a real embedded log, and what is on that log."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from collector.app import Collector
from collector.consent import Logs
from collector.source import Sources
from collector.tally import Tallies
from spine.codes import CODES
from spine.control.followed import Control
from spine.embedded.control import EmbeddedControl
from spine.embedded.log import EmbeddedLog
from spine.errors import Unavailable
from spine.log import Appends, Batch, Bounds, Entry, Log, Record, Resume, Settled
from spine.metrics import Metrics
from spine.record import ControlRecord, EventRecord, Unreadable, decode
from spine.runtime import serve
from spine.settings import CollectorSettings, Secret, SiteSettings

NOW_MS = 1_795_341_600_000  # 2026-11-22T10:00:00Z
BROWSER, SERVER, OTHER = "bk_shop_browser", "sk_shop_server", "bk_other_browser"
ORIGIN = "https://shop.example"
SITES = {
    "shop": SiteSettings(
        currency="EUR",
        timezone="Europe/Berlin",
        origins=(ORIGIN, "http://localhost:3000"),
        browser_keys=(BROWSER,),
        server_keys=(Secret(SERVER),),
    ),
    "other": SiteSettings(
        timezone="America/New_York", origins=("https://other.example",), browser_keys=(OTHER,)
    ),
}
CONSENT = {"purposes": {"analytics": True, "ads_measurement": True}}
EVENT: dict[str, Any] = {"name": "page_view", "event_id": "e-1", "consent": CONSENT}


class HeldLog(Appends):
    """A log whose appends wait at a gate, or fail with `away`; what passes is in a real log.

    With `writes_all_the_same` a failing append has been written, as may happen to any log."""

    name = "held"

    def __init__(self, log: EmbeddedLog) -> None:
        self._log = log
        self.partitions = log.partitions
        self.gate = asyncio.Event()
        self.gate.set()
        self.away: Exception | None = None
        self.writes_all_the_same = False
        self.arrived = asyncio.Event()
        self._passing: set[asyncio.Task[None]] = set()

    def put(self, entries: Sequence[Entry], settled: Settled) -> None:
        passing = asyncio.create_task(self._pass(entries, settled))
        self._passing.add(passing)
        passing.add_done_callback(self._passing.discard)

    async def _pass(self, entries: Sequence[Entry], settled: Settled) -> None:
        trouble = None
        try:
            await self.append(entries)
        except Exception as why:  # noqa: BLE001 - whatever a test lets it fail with
            trouble = why
        settled(trouble)

    async def append(self, entries: Sequence[Entry]) -> None:
        self.arrived.set()
        await self.gate.wait()
        if self.away is None or self.writes_all_the_same:
            await self._log.append(entries)
        if self.away is not None:
            raise self.away

    def batches(self, resume: Resume) -> AsyncIterator[Batch]:
        return self._log.batches(resume)

    async def commit(self, batch: Batch) -> None:
        await self._log.commit(batch)

    async def bounds(self) -> Mapping[int, Bounds]:
        return await self._log.bounds()

    async def read(self, partition: int, offset: int, limit: int) -> Sequence[Record]:
        return await self._log.read(partition, offset, limit)

    async def ready(self) -> None:
        if isinstance(self.away, Unavailable):
            raise self.away
        await self._log.ready()

    async def close(self) -> None:
        await self._log.close()


@dataclass
class Door:
    """A running collector and everything a test asks it or of it."""

    port: int
    log: HeldLog
    tallies: Tallies
    metrics: Metrics
    client: aiohttp.ClientSession
    collector: Collector
    sources: Sources
    close: Callable[[], Coroutine[Any, Any, None]]
    url: str = field(init=False)

    def __post_init__(self) -> None:
        self.url = f"http://127.0.0.1:{self.port}/v1/events"

    async def post(
        self, body: object, key: str | None = SERVER, query: str = "", **headers: str
    ) -> "Answer":
        """Post bytes as they are, anything else as JSON; `Content_Type="…"` is a header."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            named["Authorization"] = f"Bearer {key}"
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        async with self.client.post(
            self.url + query, data=data, headers=named, skip_auto_headers=("Content-Type",)
        ) as response:
            return await Answer.of(response)

    async def raw(self, request: bytes, wait_s: float = 5.0) -> bytes:
        """Send bytes over a socket of their own; give what comes until the answer is whole."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            async with asyncio.timeout(wait_s):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                return head + await reader.readexactly(length)
        finally:
            writer.close()

    async def on_the_log(self) -> list[EventRecord | ControlRecord | Unreadable]:
        return [decode(record.value) for record in await self.log.read(0, 0, 1000)]

    async def events(self) -> list[EventRecord]:
        return [r for r in await self.on_the_log() if isinstance(r, EventRecord)]

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"beleg_{name}", labels) or 0.0


@dataclass
class Answer:
    """An answer read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    async def of(cls, response: aiohttp.ClientResponse) -> "Answer":
        return cls(response.status, response.headers, await response.read())

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def codes(self) -> list[str | None]:
        return [result["code"] for result in self.json["results"]]


@asynccontextmanager
async def door(
    tmp_path: Path,
    *,
    now_ms: Callable[[], int] = lambda: NOW_MS,
    sites: Mapping[str, SiteSettings] = SITES,
    **settings: Any,
) -> AsyncIterator[Door]:
    """Open a log and a collector in front of it."""
    embedded = await EmbeddedLog.open(
        tmp_path / "log.sqlite",
        batch_records=1000,
        batch_wait_ms=50,
        max_bytes=1 << 30,
        retention_s=3600,
    )
    log = HeldLog(embedded)
    metrics, tallies = Metrics("test"), Tallies("test")
    seam: Log = log
    public = CollectorSettings(listen="127.0.0.1:0", **settings)
    sources = Sources(sites)
    control = Control(EmbeddedControl(tmp_path / "log.sqlite"))
    following = asyncio.create_task(control.follow())
    await control.begin(5)
    collector = Collector(Logs(seam, control), sources, tallies, public, metrics, now_ms)
    listener = await serve(collector.runner(0.5), "collector.listen", public.listen)
    port = int(listener.address.rpartition(":")[2])
    timeout = aiohttp.ClientTimeout(total=20)
    try:
        async with aiohttp.ClientSession(
            timeout=timeout,
            auto_decompress=False,
            skip_auto_headers=("User-Agent",),  # a program's would be a bot's
        ) as client:
            yield Door(port, log, tallies, metrics, client, collector, sources, listener.close)
    finally:
        await listener.close()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await control.close()
        await embedded.close()


def is_refusal(answer: Answer, status: int, code: str) -> bool:
    assert answer.headers["Content-Type"].startswith("application/json")
    assert set(answer.json) == {"code", "meaning", "detail"}
    assert CODES[code].http_status == status
    return (answer.status, answer.json["code"]) == (status, code)
