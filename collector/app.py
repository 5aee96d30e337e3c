"""The public listener: how requests come in, and what of them `Intake` is handed.

Most are one whole POST of events: they go to `Intake` straight from the parser. Everything else,
and whatever is odd about a request, comes by the routes of an aiohttp application; both ways are
answered in the same place.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import cast

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.typedefs import Handler

from collector import body
from collector.answer import SERVER, Answer, Response, refusal
from collector.caller import asked_before
from collector.consent import Logs
from collector.decode import Unreadable
from collector.door.connection import Connection
from collector.door.gate import Bounds, Gate, Words
from collector.door.runner import Runner, within_descriptors
from collector.door.server import Server
from collector.head import Head, head_of
from collector.intake import Caller, Intake, Route, Tell
from collector.pixel import IMAGE, PIXEL
from collector.source import Sources
from collector.tally import Tallies
from spine.errors import Unavailable
from spine.metrics import Metrics
from spine.settings import CollectorSettings

_EVENTS, _CONSENT, _PIXEL = "/v1/events", "/v1/consent", "/v1/pixel.gif"


class Collector:
    """The ways into a collector; what it needs is handed in."""

    def __init__(
        self,
        logs: Logs,
        sources: Sources,
        tallies: Tallies,
        settings: CollectorSettings,
        metrics: Metrics,
        now_ms: Callable[[], int],
    ) -> None:
        self._intake = Intake(logs, sources, tallies, settings, metrics, now_ms)
        self.places = self._intake.places
        self._control = logs.control
        self._sources = sources
        self._settings = settings
        self._metrics = metrics

    def runner(self, drain_s: float) -> Runner:
        """Give what serves the application on connections within their bounds."""
        settings = self._settings
        bounds = Bounds(
            within_descriptors(settings.max_connections),
            settings.max_requests_per_connection,
            settings.max_header_bytes,
            settings.header_timeout_s,
            settings.idle_timeout_s,
            settings.max_wait_ms,
        )
        early, pressure = self._intake.early, self._intake.pressure
        words = Words(early.unreadable, early.turned_away, _is_direct, self.take_whole)
        return Runner(
            self.application(),
            lambda made: Server(made, Gate(bounds, words, pressure, self._metrics)),
            drain_s,
        )

    async def ready(self) -> None:
        """Return unless requests have been turned away for seconds, or what has been withdrawn is
        not known. Raises: Unavailable."""
        if self._intake.pressure.lasts:
            raise Unavailable("overloaded: requests are turned away")
        if self._control.age_s > self._settings.withdrawals_max_age_s:
            raise Unavailable("the control log cannot be read: events that need consent get 503")

    def application(self) -> web.Application:
        """Give the application with all routes of the public listener."""
        app = web.Application(
            client_max_size=self._settings.max_body_bytes, middlewares=[self._in_our_words]
        )
        for method, path, handler in (
            ("POST", _EVENTS, self.post_events),
            ("POST", _CONSENT, self.post_consent),
            ("OPTIONS", _EVENTS, self.preflight),
            ("OPTIONS", _CONSENT, self.preflight),
            # Not HEAD: who asks for the head only wants to look, and would count.
            ("GET", _PIXEL, self.get_pixel),
            *[("*", path, self.wrong_method) for path in (_EVENTS, _CONSENT, _PIXEL)],
            ("*", "/{path:(?s:.*)}", self.nothing_here),
        ):
            app.router.add_route(method, path, handler, expect_handler=_when_it_is_read)
        return app

    @web.middleware
    async def _in_our_words(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException:  # no path at all: `*`, or a host for CONNECT
            return await self.nothing_here(request)

    async def nothing_here(self, _: web.Request) -> web.StreamResponse:
        """Answer for every path that is none."""
        return self._other(refusal("not_found", "events go to POST /v1/events"))

    async def wrong_method(self, request: web.Request) -> web.StreamResponse:
        """Answer for every method that nothing can be sent with."""
        allowed = "GET" if request.path == _PIXEL else "POST, OPTIONS"
        detail = f"send {allowed.partition(',')[0]}"
        return self._other(refusal("method_not_allowed", detail, (("Allow", allowed),)))

    def _other(self, answer: Answer) -> Response:
        return Response(self._intake.counted("other", answer))

    async def preflight(self, request: web.Request) -> web.StreamResponse:
        """Answer a browser that asks before it posts: yes to the origins of the sites."""
        self._metrics.requests.by["preflight", "204"] += 1
        headers = asked_before(_head_of(request), self._sources) | {"Server": SERVER}
        return web.Response(status=204, headers=headers)

    def take_whole(self, head: Head, peer: str, sent: bytes, tell: Tell) -> None:
        """Take one event or a batch that came in one piece with its head."""
        caller = self._intake.let_in(head, peer, "events", whole=True)
        if isinstance(caller, Answer):
            tell(caller)
            return
        try:
            content = body.whole(head.encoding, sent, self._settings.max_body_bytes)
        except Exception as bug:  # noqa: BLE001 - the edge: answer, count, serve the next
            tell(self._intake.failed(caller, bug))
        else:
            self._intake.take(caller, head, content, tell)

    async def post_events(self, request: web.Request) -> web.StreamResponse:
        """Take one event or a batch; answer when everything accepted is durable."""
        head = _head_of(request)
        caller = self._let_in(request, head, "events")
        if isinstance(caller, Answer):
            return Response(caller)
        sent = await self._body(request, head, caller)
        if isinstance(sent, Answer):
            return Response(sent)
        return Response(await _told(partial(self._intake.take, caller, head, sent)))

    async def get_pixel(self, request: web.Request) -> web.StreamResponse:
        """Take one event from the address; the answer is the image, whatever became of it."""
        head = _head_of(request)
        caller = self._let_in(request, head, "pixel")
        if isinstance(caller, Answer):
            answer = caller
        else:
            answer = await _told(partial(self._intake.take_pixel, caller, head))
        answer.instead(PIXEL, IMAGE)
        return Response(answer)

    async def post_consent(self, request: web.Request) -> web.StreamResponse:
        """Take a consent decision; answer when it is durable and in force here."""
        head = _head_of(request)
        caller = self._let_in(request, head, "consent")
        if isinstance(caller, Answer):
            return Response(caller)
        sent = await self._body(request, head, caller)
        if isinstance(sent, Answer):
            return Response(sent)
        return Response(await self._intake.decide(caller, head, sent))

    def _let_in(self, request: web.Request, head: Head, route: Route) -> Caller | Answer:
        whole = request.content.is_eof()
        return self._intake.let_in(head, request.remote or "", route, whole=whole)

    async def _body(
        self, request: web.Request, head: Head, caller: Caller
    ) -> bytes | Unreadable | Answer:
        settings, turn = self._settings, cast("Connection", request.protocol)
        limits = settings.max_body_bytes, settings.body_timeout_s
        arriving = body.Arriving(self._intake.pressure, turn, head.comes_again)
        try:
            sent = await body.read(request, *limits, arriving)
        except Exception as bug:  # noqa: BLE001 - the edge: answer, count, serve the next
            return self._intake.failed(caller, bug)
        return self._intake.given_up(caller, head) if sent is None else sent


def _is_direct(message: RawRequestMessage) -> bool:
    """Say whether a request that came whole is one that `Collector.take_whole` takes."""
    if message.method != "POST" or message.chunked or message.upgrade:
        return False
    return message.path == _EVENTS or message.path.startswith(f"{_EVENTS}?")


def _head_of(request: web.Request) -> Head:
    return head_of(request.headers, request.rel_url)


async def _told(take: Callable[[Tell], None]) -> Answer:
    told: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def tell(answer: Answer) -> None:
        if not told.done():  # its connection was closed while we drained
            told.set_result(answer)

    take(tell)
    return await told


async def _when_it_is_read(_: web.Request) -> None:
    """Say nothing to `Expect: 100-continue` yet: whoever reads the body does (`collector.body`)."""
