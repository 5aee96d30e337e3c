"""Several collectors that share one address, and the process above them.

Invariants:

1. A worker is a whole collector, with a spill, tallies, producers and a lock of its own. No event
   passes through this process, so killing one of them is killing one collector.
2. Whatever ends this process ends the workers: they stop when its end of their channel closes.
3. A worker that ends unasked is started again, later each time. What is misconfigured, or out of
   reach at the first start, ends all of them with its sentence.
"""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import structlog

from beleg.admin import Admin
from beleg.channel import MOST_LINE_BYTES, About, Answer, Question, Ready, Trouble, line
from beleg.seat import Seat, until_let_go
from spine.errors import Misconfigured, Unavailable
from spine.metrics import side_by_side
from spine.runtime import listen, locked, reserved, stop_asked, tell, until_stopped
from spine.settings import Settings
from spine.settings_file import packed

_FIRST_WAIT_S, _MOST_WAIT_S = 0.5, 30.0
_STEADY_S = 60.0  # who lived that long may fall at once again
_LEEWAY_S = 1.0

_logger = structlog.get_logger()


class Worker:
    """One worker as its parent knows it."""

    def __init__(self, seat: Seat, settings: Settings) -> None:
        self._seat = seat
        self._settings = packed(settings)
        # A worker that looks whether Kafka answers may take so long itself.
        self._answers_within_s = settings.log.append_deadline_ms / 1000 + _LEEWAY_S
        self.first_ready = asyncio.Event()
        self._ready = False
        self._trouble: Misconfigured | Unavailable | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._channel: asyncio.StreamWriter | None = None
        self._asked: dict[int, asyncio.Future[str]] = {}
        self._questions = 0

    @property
    def number(self) -> int:
        """Its number; the first one is 0."""
        return self._seat.number

    async def keep_running(self) -> None:
        """Start it again whenever it ends, until cancelled. Raises: Misconfigured, Unavailable."""
        loop = asyncio.get_running_loop()
        wait_s = _FIRST_WAIT_S
        while True:
            began_at = loop.time()
            code = await self._live()
            trouble = self._trouble
            if trouble and (isinstance(trouble, Misconfigured) or not self.first_ready.is_set()):
                raise trouble
            if loop.time() - began_at > _STEADY_S:
                wait_s = _FIRST_WAIT_S
            _logger.error(
                "worker ended",
                worker=self.number,
                exit_code=code,
                why=str(trouble or ""),
                again_in_s=wait_s,
            )
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _MOST_WAIT_S)

    async def _live(self) -> int:
        """Start the process, listen to it, and give its exit code."""
        self._trouble = None
        ours, theirs = socket.socketpair()
        with theirs:
            process = self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "beleg.worker"),
                *map(str, self._seat),
                stdin=theirs.fileno(),
            )
        said, channel = await asyncio.open_unix_connection(sock=ours, limit=MOST_LINE_BYTES)
        try:
            channel.write(self._settings)
            self._channel = channel
            with contextlib.suppress(ConnectionError):  # it was killed
                async for text in said:
                    self._hear(msgspec.json.decode(text, type=Ready | Trouble | Answer))
            return await process.wait()
        finally:
            self._ready = False
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(Unavailable("it ended"))
            channel.close()

    def _hear(self, message: Ready | Trouble | Answer) -> None:
        match message:
            case Ready():
                self._ready = True
                self.first_ready.set()
            case Trouble(key, why):
                self._trouble = Misconfigured(key, why) if key else Unavailable(why)
            case Answer(number, text):
                answer = self._asked.get(number)
                if answer is not None and not answer.done():
                    answer.set_result(text)

    async def ask(self, about: About) -> str:
        """Give what it answers. Raises: Unavailable when it does not, in time."""
        if not self._ready or self._channel is None:
            raise Unavailable("it is not running")
        self._questions += 1
        number = self._questions
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            async with asyncio.timeout(self._answers_within_s):
                self._channel.write(line(Question(number, about)))
                return await answer
        except TimeoutError as error:
            raise Unavailable("it does not answer") from error
        finally:
            del self._asked[number]

    async def end(self, within_s: float) -> bool:
        """Let it drain, and say whether it finished what it had begun in time."""
        process = self._process
        if process is None or process.returncode is not None:
            return True
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(within_s):
                # Ended by the signal itself, it was starting and had not said that it is ready.
                return await process.wait() in (0, -signal.SIGTERM)
        except TimeoutError:
            process.kill()
            await process.wait()
            return False


class Workers:
    """The process above the workers: its listener for operations tells of all of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._workers: list[Worker] = []
        self._admin = Admin(self.exposition, [self.ready], settings.admin.token)

    async def live(self) -> int:
        """Start the workers, live until told to stop, and say how it ended.

        Shape: 0 when every worker finished what it had begun in time, else 1. Raises:
        Misconfigured, Unavailable (at start only)."""
        settings = self._settings
        data_dir, drain_s = Path(settings.data_dir), settings.processors.drain_deadline_s
        async with AsyncExitStack() as stack:
            lock = stack.enter_context(locked(data_dir, "collect"))
            await until_let_go(data_dir, drain_s)
            where = stack.enter_context(reserved("collector.listen", settings.collector.listen))
            admin = await listen(self._admin.application(), "admin.listen", settings.admin.listen)
            stack.push_async_callback(admin.close)
            addresses = {"collector": where, "admin": admin.address}
            tell(lock, addresses)
            self._make(where)
            tasks = [asyncio.create_task(worker.keep_running()) for worker in self._workers]
            tasks.append(asyncio.create_task(self._announce(addresses)))
            try:
                await until_stopped(tasks, stop_asked())
            finally:
                whole = await self._drain(tasks, drain_s)
            return 0 if whole else 1

    def _make(self, where: str) -> None:
        collector = msgspec.structs.replace(self._settings.collector, listen=where)
        settings = msgspec.structs.replace(self._settings, collector=collector)
        count = collector.workers
        self._workers = [Worker(Seat(number, count), settings) for number in range(count)]

    async def _announce(self, addresses: dict[str, str]) -> None:
        for worker in self._workers:
            await worker.first_ready.wait()
        _logger.info("ready", role="collect", workers=len(self._workers), **addresses)

    async def ready(self) -> None:
        """Return if every worker would take events now. Raises: Unavailable, with all reasons."""
        said = await asyncio.gather(*map(_why_not_ready, self._workers))
        if whys := [f"worker {at}: {why}" for at, why in enumerate(said) if why]:
            raise Unavailable("; ".join(whys))

    async def exposition(self) -> bytes:
        """Give the metrics of all workers that answer, in Prometheus' text format."""
        said = await asyncio.gather(*map(_metrics, self._workers))
        return side_by_side({str(at): text for at, text in enumerate(said)}).encode()

    async def _drain(self, tasks: Sequence["asyncio.Task[None]"], drain_s: float) -> bool:
        self._admin.draining = True
        _logger.info("draining", workers=len(self._workers))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        ended = await asyncio.gather(*(worker.end(drain_s) for worker in self._workers))
        late = [
            worker.number for worker, whole in zip(self._workers, ended, strict=True) if not whole
        ]
        if late:
            _logger.error("drain is incomplete", workers=late)
        else:
            _logger.info("drained", workers=len(self._workers))
        return not late


async def _why_not_ready(worker: Worker) -> str:
    try:
        return await worker.ask("readiness")
    except Unavailable as trouble:
        return trouble.what


async def _metrics(worker: Worker) -> str:
    try:
        return await worker.ask("metrics")
    except Unavailable:  # /readyz tells
        return ""
