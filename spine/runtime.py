"""What a long-running process needs: listeners, signals, a lock on its directory, its log lines.

The only place that knows about SIGTERM.
"""

import asyncio
import contextlib
import ctypes
import errno
import faulthandler
import fcntl
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import orjson
import structlog
import uvloop
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.log import server_logger

from spine.errors import Misconfigured
from spine.few import FewRunner
from spine.settings import address

T = TypeVar("T")

_CRASHES = (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV)
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as malloc.h numbers them
_BACKLOG = 1_024  # connections that come at once, before they are accepted
_ACCEPTED_AT_ONCE = 16


def run_to_end(work: Coroutine[Any, Any, T], *, beside_threads: bool = False) -> T:
    """Do asynchronous work on the fast event loop, and give what it gives.

    Beside threads that compute in Python asyncio's own is the faster one: uvloop takes the
    interpreter for each callback, and has to wait for it each time, up to 5 ms."""
    own = asyncio.new_event_loop if beside_threads else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=own) as runner:
        return runner.run(work)


def spare_cycle_collector() -> None:
    """Let the search for cycles leave alone what is loaded by now, and run seldom.

    That lives for ever, and a batch has many thousand objects at once, none of them in a cycle:
    with Python's defaults the search took a sixth of the collector's CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 10, 10)


def keep_freed_memory() -> None:
    """Let memory of up to 32 MB that was freed stay with the process, where it would go back to the
    kernel and be asked for again with the next batch of records: a page for every event.

    Source: mallopt(3). Another C library than glibc has no such function, or does otherwise."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 8 << 20)
        mallopt(_TRIM_THRESHOLD, 32 << 20)


def fall_at_once() -> None:
    """Let a crash end the process at once, with a trace of its code and no copy of its memory.

    The memory holds what senders sent and consent forbids. The handlers that chDB brings wait for
    minutes instead, and nobody starts the process again; so call it when chDB is open."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    for number in _CRASHES:
        signal.signal(number, signal.SIG_DFL)
    faulthandler.enable()


def stop_asked() -> asyncio.Event:
    """From here on SIGTERM and SIGINT set what is given, and end nothing by themselves.

    Called before anybody is told that a process is ready: who knows it may ask it to end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def until_stopped(tasks: Iterable["asyncio.Task[None]"], stop: asyncio.Event) -> None:
    """Return when it is asked to stop; raise what one of the tasks raised. A task that comes to its
    end is just done."""
    asked = asyncio.create_task(stop.wait())
    running: set[asyncio.Task[Any]] = {asked, *tasks}
    try:
        while asked in running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        asked.cancel()


def ask_to_stop() -> None:
    """Do to this process what SIGTERM does."""
    signal.raise_signal(signal.SIGTERM)


class Listener:
    """A listening HTTP application; made by `listen`."""

    def __init__(self, runner: web.AppRunner) -> None:
        self._runner = runner

    @property
    def address(self) -> str:
        """The address it listens on, `host:port`, with the real port."""
        return _address(*self._runner.addresses[0][:2])

    async def close(self) -> None:
        """Accept nothing more, answer what is in flight."""
        await self._runner.cleanup()


def _without_peer(line: logging.LogRecord) -> bool:
    """Keep addresses, and bytes that are no HTTP, out of the log: both are of the sender."""
    if line.exc_info and isinstance(line.exc_info[1], HttpProcessingError):
        return False
    if line.msg == "Error handling request from %s":
        line.msg, line.args = "Error handling request", ()
    return True


@contextlib.contextmanager
def reserved(key: str, where: str) -> Iterator[str]:
    """Hold an address that processes of ours then share by `serve`, and give it with its real port.

    Raises: Misconfigured that names `key` when somebody listens there already."""
    host, port = address(key, where)
    with contextlib.ExitStack() as stack:
        try:
            family, kind, _, _, name = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            if port:  # a shared port would let in others of ours too: ask without sharing first
                with socket.socket(family, kind) as alone:
                    alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    alone.bind(name)
            held = stack.enter_context(socket.socket(family, kind))
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind(name)  # and never listens: connections go to those who do
        except OSError as error:
            raise _cannot_listen(key, where, error) from error
        yield _address(host, held.getsockname()[1])


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _cannot_listen(key: str, where: str, error: OSError) -> Misconfigured:
    return Misconfigured(key, f"cannot listen on {where}: {error.strerror}")


async def listen(app: web.Application, key: str, where: str, drain_s: float = 10.0) -> Listener:
    """Serve an application for few. Raises: Misconfigured that names `key` if the port is taken."""
    return await serve(FewRunner(app, drain_s), key, where)


async def serve(runner: web.AppRunner, key: str, where: str, *, shared: bool = False) -> Listener:
    """Serve what a runner runs; `shared` with others of ours that do the same at this address.

    Raises: Misconfigured that names `key` when the port is taken."""
    host, port = address(key, where)
    server_logger.addFilter(_without_peer)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=_ACCEPTED_AT_ONCE, reuse_port=shared or None)
        await site.start()
        _let_wait(site)
    except OSError as error:
        await runner.cleanup()
        raise _cannot_listen(key, where, error) from error
    return Listener(runner)


def _let_wait(site: web.TCPSite) -> None:
    """Let more connections wait than are accepted in one turn: asyncio's loop takes one number for
    both, and a thousand that are accepted before the first is looked at may be more than there are
    files."""
    for listening in cast("asyncio.Server", site._server).sockets:
        with socket.socket(fileno=os.dup(listening.fileno())) as same:
            same.listen(_BACKLOG)


@contextlib.contextmanager
def locked(data_dir: Path, role: str) -> Iterator[Path]:
    """Hold a directory for one process of a role; the file tells others where it listens.

    Raises: Misconfigured when another process has it, or the directory cannot be written."""
    path = data_dir / f"{role}.lock"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise Misconfigured(
            "data_dir", f"{data_dir} cannot be written: {error.strerror}"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        raise Misconfigured(
            "data_dir", f"another `beleg {role}` is using {data_dir}; stop it, or use another one"
        ) from error
    try:
        os.ftruncate(descriptor, 0)
        yield path
    finally:
        os.close(descriptor)


def tell(lock: Path, addresses: Mapping[str, str]) -> None:
    """Write into a held lock where its process listens. Raises: Misconfigured."""
    try:
        lock.write_bytes(orjson.dumps(addresses))
    except OSError as error:
        raise Misconfigured("data_dir", f"{lock} cannot be written: {error.strerror}") from error


def held(data_dir: Path, role: str) -> dict[str, str] | None:
    """Give what the process that holds the lock wrote into it, or nothing when nobody does."""
    path = data_dir / f"{role}.lock"
    if not path.exists():
        return None
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            content = file.read()
            return orjson.loads(content) if content else {}
    return None


def configure_logging(worker: int | None = None) -> None:
    """Send log lines to stderr: readable on a terminal, JSON lines elsewhere.

    Those of one worker of several carry its number."""
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer(serializer=lambda v, **_: orjson.dumps(v).decode())
    )
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if worker is not None:
        shared.append(lambda _, __, line: {"worker": worker, **line})
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        # A line in one write: workers share the file, and print() makes two of it.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    # Libraries log through the standard module: their warnings become lines of the same form.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
            foreign_pre_chain=shared,
        )
    )
    # What these say before they raise is said again, better, where the exception is translated.
    for library in ("clickhouse_connect", "aiokafka"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
