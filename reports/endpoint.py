"""ClickHouse's HTTP interface over an embedded store, for clients that know ClickHouse only.

Read-only in `beleg run`, beside the handles that land and derive; writable in a process of its own,
where it stands in for a ClickHouse server (`python -m reports.endpoint DIR --writable`).

Where a token is set it is the password, whatever the user's name. Not offered: sessions, external
data, ClickHouse's own block compression, users.
"""

import asyncio
import re
import signal
import sys
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import orjson
from aiohttp import web

from reports.engine import Answer, Engine, Limits, Question
from reports.giving import Giving
from reports.question import packed, packing, password, read_question
from reports.statement import Failure
from spine.access import fits, is_loopback, is_of_a_page, is_this_machine
from spine.errors import Misconfigured
from spine.runtime import Listener, listen

DATABASE = "beleg"
_UNPRINTABLE = re.compile(r"[^!-~]+")
# Source: ClickHouse, src/Server/HTTP/exceptionCodeToHTTPStatus.cpp; 202 is ours, 500 there:
# clients try a 503 again.
_STATUS = {
    **dict.fromkeys((6, 8, 15, 25, 26, 27, 36, 38, 41, 44, 53, 62, 69, 72, 117, 376, 427), 400),
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 106, 115, 336), 404),
    167: 400,
    168: 400,
    194: 401,
    516: 403,
    48: 501,
    159: 408,
    202: 503,
    307: 413,
    497: 403,
}
_TYPES = (
    ("JSONEachRow", "application/x-ndjson; charset=UTF-8"),
    ("JSONCompactEachRow", "application/x-ndjson; charset=UTF-8"),
    ("JSON", "application/json; charset=UTF-8"),
    ("TabSeparated", "text/tab-separated-values; charset=UTF-8"),
    ("TSV", "text/tab-separated-values; charset=UTF-8"),
    ("CSV", "text/csv; charset=UTF-8; header=absent"),
    ("Pretty", "text/plain; charset=UTF-8"),
    ("Vertical", "text/plain; charset=UTF-8"),
    ("XML", "application/xml; charset=UTF-8"),
)


class Endpoint:
    """A listening endpoint; `address` is where it listens, with the real port."""

    def __init__(
        self, engine: Engine, limits: Limits, *, local_only: bool, tokens: Sequence[str]
    ) -> None:
        """Take over an open engine; `listen` makes it reachable, `close` closes both."""
        self.address = ""
        self._engine = engine
        self._limits = limits
        self._local_only = local_only
        self._tokens = tokens
        self._asking = 0
        self._giving = Giving(limits.max_result_bytes, limits.unread_s)
        self._turns = asyncio.Semaphore(limits.handles)
        self._threads = ThreadPoolExecutor(limits.handles, thread_name_prefix="reader")
        self._listener: Listener | None = None

    async def listen(self, where: str) -> None:
        """Return once clients can connect. Raises: Misconfigured."""
        app = web.Application(client_max_size=self._limits.max_body_bytes)
        app.router.add_get("/ping", _ok)
        app.router.add_get("/replicas_status", _ok)
        app.router.add_route("*", "/", self._answer)
        app.router.add_route("*", "/query", self._answer)
        self._listener = await listen(app, "store.listen", where)
        self.address = self._listener.address

    async def close(self) -> None:
        """Accept nothing more, answer what is being asked, let go of the store."""
        if self._listener is not None:
            await self._listener.close()
        await asyncio.to_thread(self._threads.shutdown)
        self._engine.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        query_id = request.query.get("query_id") or str(uuid.uuid4())
        objection = self._object(request)
        if objection is not None:
            return self._failed(objection, query_id)
        self._asking += 1
        try:
            question = await self._read(request)
            if isinstance(question, Failure):
                return self._failed(question, query_id)
            if not question.statement and request.method == "GET":
                return await _ok(request)
            encoding = packing(request)
            answer = await self._ask(question, encoding)
        finally:
            self._asking -= 1
        if isinstance(answer, Failure):
            return self._failed(answer, query_id)
        headers = self._answer_headers(answer, encoding, query_id)
        return await self._giving.give(answer.body, headers, request)

    def _object(self, request: web.Request) -> Failure | None:
        """Say why a request is not even read."""
        if self._local_only and not is_this_machine(request.host):
            return Failure(497, "Host is not this machine. (ACCESS_DENIED)")
        if is_of_a_page(request.headers):
            return Failure(497, "Web pages are not answered. (ACCESS_DENIED)")
        if self._tokens and (wrong := self._wrong_password(password(request))) is not None:
            return wrong
        if self._asking >= self._limits.handles + self._limits.waiting:
            return _too_many()
        return None

    def _wrong_password(self, given: str | None) -> Failure | None:
        if given is None:
            return Failure(194, "The password is store.token. (REQUIRED_PASSWORD)")
        if any(fits(given, token) for token in self._tokens):
            return None
        return Failure(516, "The password is not store.token. (AUTHENTICATION_FAILED)")

    async def _read(self, request: web.Request) -> Question | Failure:
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                return await read_question(request, self._limits.max_body_bytes)
        except TimeoutError:
            return Failure(209, "The statement did not arrive in time. (SOCKET_TIMEOUT)")

    async def _ask(self, question: Question, encoding: str | None) -> Answer | Failure:
        try:
            async with asyncio.timeout(self._limits.wait_s):
                await self._turns.acquire()
        except TimeoutError:
            return _too_many()
        if self._giving.is_full:
            self._turns.release()
            return _too_many()
        loop = asyncio.get_running_loop()
        asked = loop.run_in_executor(self._threads, self._answer_packed, question, encoding)
        # The turn ends when the engine does: one step of it, a regular expression over a long text,
        # cannot be interrupted and may take longer than anybody waits.
        asked.add_done_callback(lambda _: self._turns.release())
        await asyncio.wait(
            [asked], timeout=self._limits.max_execution_time_s + self._limits.grace_s
        )
        if not asked.done():
            return Failure(159, "The engine cannot be interrupted. (TIMEOUT_EXCEEDED)")
        return asked.result()

    def _answer_packed(self, question: Question, encoding: str | None) -> Answer | Failure:
        answer = self._engine.answer(question)
        if isinstance(answer, Failure):
            return answer
        return answer._replace(body=packed(answer.body, encoding))

    def _answer_headers(
        self, answer: Answer, encoding: str | None, query_id: str
    ) -> Mapping[str, str]:
        headers = self._headers(query_id) | {"X-ClickHouse-Summary": _summary(answer)}
        kind = "text/plain; charset=UTF-8"
        if answer.format is not None:
            headers["X-ClickHouse-Format"] = answer.format
            types = (kind for name, kind in _TYPES if answer.format.startswith(name))
            kind = next(types, "application/octet-stream")
        if encoding is not None:
            headers["Content-Encoding"] = encoding
        return headers | {"Content-Type": kind}

    def _failed(self, failure: Failure, query_id: str) -> web.Response:
        version = f"(version {self._engine.version} (official build))"
        headers = self._headers(query_id) | {
            "X-ClickHouse-Exception-Code": str(failure.code),
            "Content-Type": "text/plain; charset=UTF-8",
        }
        status = _STATUS.get(failure.code, 500)
        if status == 503:
            headers["Retry-After"] = "1"
        if status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="beleg"'
        text = f"Code: {failure.code}. DB::Exception: {failure.text} {version}\n"
        return web.Response(status=status, text=text, headers=headers)

    def _headers(self, query_id: str) -> dict[str, str]:
        return {
            "X-ClickHouse-Server-Display-Name": "beleg",
            "X-ClickHouse-Query-Id": _UNPRINTABLE.sub("", query_id)[:128],
            "X-ClickHouse-Timezone": self._engine.timezone,
        }


async def serve(
    path: Path,
    where: str,
    limits: Limits,
    *,
    writable: bool = False,
    tokens: Sequence[str] = (),
) -> Endpoint:
    """Return an endpoint over the chDB directory that answers at `where`.

    Shape: `where` is host:port, port 0 is any free one; any of `tokens` is a password, without any
    nobody is asked. Raises: Misconfigured, also where a writable endpoint would be reachable from
    elsewhere."""
    local = is_loopback(where)
    if writable and not local:
        raise Misconfigured("--writable", "anyone could write: listen on 127.0.0.1")
    # A stand-in for a server has a server's default; a reader wants what Beleg wrote.
    database = "default" if writable else DATABASE
    engine = await asyncio.to_thread(Engine, path, limits, database=database, writable=writable)
    endpoint = Endpoint(engine, limits, local_only=local, tokens=tokens)
    try:
        await endpoint.listen(where)
    except Misconfigured:
        await endpoint.close()
        raise
    return endpoint


async def _ok(_request: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


def _too_many() -> Failure:
    return Failure(202, "Too many simultaneous queries. (TOO_MANY_SIMULTANEOUS_QUERIES)")


def _summary(answer: Answer) -> str:
    counts = {
        "read_rows": answer.read_rows,
        "read_bytes": answer.read_bytes,
        "written_rows": answer.written_rows,
        "written_bytes": answer.written_bytes,
        "elapsed_ns": int(answer.elapsed_s * 1e9),
    }
    return orjson.dumps({name: str(count) for name, count in counts.items()}).decode()


async def _run(path: Path, listen: str, limits: Limits, *, writable: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    endpoint = await serve(path, listen, limits, writable=writable)
    click.echo(endpoint.address)
    sys.stdout.flush()
    await stop.wait()
    await endpoint.close()


@click.command()
@click.argument("path", type=click.Path(file_okay=False, path_type=Path))
@click.option("--listen", default="127.0.0.1:8123", show_default=True, help="host:port, 0 is free")
@click.option("--writable", is_flag=True, help="stand in for a ClickHouse server in tests")
def main(path: Path, listen: str, writable: bool) -> None:
    """Serve the chDB directory PATH over ClickHouse's HTTP interface until SIGTERM."""
    limits = Limits()
    if writable:  # a server does not give up on a long insert
        limits = Limits(max_body_bytes=1024**3, body_timeout_s=3600, max_execution_time_s=86_400)
    try:
        asyncio.run(_run(path.resolve(), listen, limits, writable=writable))
    except Misconfigured as error:
        click.echo(str(error), err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
