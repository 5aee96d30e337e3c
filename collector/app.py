"""The public listener: from a request to durable records, and an answer after they are durable.

Invariants:

1. A 2xx leaves after `log.append` returned (P1).
2. Nothing but what `admit` returned reaches the log (P4).
3. Every answer to a page names its origin, and only an origin of the key's own site.
4. Every answer is counted, under a route from a fixed list, and tells nothing of our insides.
"""

import math
import time
import traceback
from collections.abc import Awaitable, Callable
from ipaddress import ip_network

import orjson
import structlog
from aiohttp import web

from collector import body, pressure
from collector.admission import Admission
from collector.admit import admit, needs_consent
from collector.answer import JSON, Answer, Headers, said
from collector.caller import asked_before, cors, receipt_of, source_of
from collector.carried import carried_of
from collector.connections import Bounds, Server, Words
from collector.consent import Decisions, Logs, decode_decision
from collector.counting import count
from collector.decode import Claims, Unreadable, decode
from collector.early import Early, retry_after
from collector.pixel import IMAGE, PIXEL, claims_of
from collector.quota import Strangers
from collector.runner import Runner, within_descriptors
from collector.source import Source, Sources
from collector.tally import Tallies
from spine.codes import CODES, Refused
from spine.errors import Unavailable
from spine.failpoint import reach
from spine.metrics import Metrics
from spine.settings import CollectorSettings

_logger = structlog.get_logger()

Take = Callable[[web.Request, Source], Awaitable[Answer]]
"""Takes what a request with a known key sends."""


class Collector:
    """Everything a request needs, handed in; and the requests it answers."""

    def __init__(
        self,
        logs: Logs,
        sources: Sources,
        tallies: Tallies,
        settings: CollectorSettings,
        metrics: Metrics,
        now_ms: Callable[[], int],
    ) -> None:
        self._log, self._control = logs
        self._decisions = Decisions(logs)
        self._sources = sources
        self._tallies = tallies
        self._settings = settings
        self._metrics = metrics
        self._now_ms = now_ms
        self._trusted = [ip_network(network) for network in settings.trusted_proxies]
        bounds = pressure.Bounds(
            settings.max_in_flight_bytes,
            settings.max_in_flight_requests,
            settings.max_wait_ms / 1000,
        )
        self._pressure = pressure.Pressure(bounds)
        self._early = Early(sources, self._pressure, metrics)
        self._strangers = Strangers(settings.unknown_keys_per_minute)
        metrics.in_flight_bytes.set_function(lambda: self._pressure.bytes)

    def runner(self, drain_s: float) -> Runner:
        """Give what serves the application on connections within their bounds."""
        settings = self._settings
        bounds = Bounds(
            within_descriptors(settings.max_connections),
            settings.max_requests_per_connection,
            settings.max_header_bytes,
            settings.header_timeout_s,
            settings.idle_timeout_s,
        )
        words = Words(self._early.unreadable, self._early.turned_away)
        return Runner(
            self.application(),
            lambda made: Server(made, bounds, words, self._pressure, self._metrics),
            drain_s,
        )

    async def ready(self) -> None:
        """Return unless requests have been turned away for seconds, or what has been withdrawn is
        not known. Raises: Unavailable."""
        if self._pressure.lasts:
            raise Unavailable("overloaded: requests are turned away")
        if self._knows_too_little:
            raise Unavailable("the control log cannot be read: events that need consent get 503")

    @property
    def _knows_too_little(self) -> bool:
        return self._control.age_s > self._settings.withdrawals_max_age_s

    def application(self) -> web.Application:
        """Give the application with all routes of the public listener."""
        app = web.Application(client_max_size=self._settings.max_body_bytes)
        app.router.add_post("/v1/events", self.post_events, expect_handler=_when_it_is_read)
        app.router.add_post("/v1/consent", self.post_consent, expect_handler=_when_it_is_read)
        for path in ("/v1/events", "/v1/consent"):
            app.router.add_options(path, self.preflight)
            app.router.add_route("*", path, self.wrong_method)
        # Not HEAD: who asks for the head only wants to look, and would count.
        app.router.add_route("GET", "/v1/pixel.gif", self.get_pixel)
        app.router.add_route("*", "/v1/pixel.gif", self.wrong_method)
        app.router.add_route("*", "/{path:(?s:.*)}", self.nothing_here)
        return app

    async def nothing_here(self, _: web.Request) -> web.StreamResponse:
        """Answer for every path that is none."""
        return self._counted("other", self._refusal("not_found", "events go to POST /v1/events"))

    async def wrong_method(self, request: web.Request) -> web.StreamResponse:
        """Answer for every method that nothing can be sent with."""
        allowed = "GET" if request.path == "/v1/pixel.gif" else "POST, OPTIONS"
        detail = f"send {allowed.partition(',')[0]}"
        allow = (("Allow", allowed),)
        return self._counted("other", self._refusal("method_not_allowed", detail, allow))

    async def preflight(self, request: web.Request) -> web.StreamResponse:
        """Answer a browser that asks before it posts: yes to the origins of the sites."""
        self._metrics.requests.by["preflight", "204"] += 1
        return web.Response(status=204, headers=asked_before(request, self._sources))

    async def post_events(self, request: web.Request) -> web.StreamResponse:
        """Take one event or a batch; answer when everything accepted is durable."""
        return self._counted("events", await self._answered(request, self._take))

    async def get_pixel(self, request: web.Request) -> web.StreamResponse:
        """Take one event from the address; the answer is the image, whatever became of it."""
        answer = await self._answered(request, self._take_pixel)
        answer.instead(PIXEL, IMAGE)
        return self._counted("pixel", answer)

    async def post_consent(self, request: web.Request) -> web.StreamResponse:
        """Take a consent decision; answer when it is durable and in force here."""
        return self._counted("consent", await self._answered(request, self._take_decision))

    def _counted(self, route: str, answer: Answer) -> Answer:
        self._metrics.requests.by[route, str(answer.status)] += 1
        return answer

    async def _answered(self, request: web.Request, take: Take) -> Answer:
        source = source_of(request, self._sources)
        if source is None:
            return self._unknown(request)
        headers = cors(request, source)
        if headers is None:
            return self._refusal(
                "origin_not_allowed", "this origin is not in sites.*.origins", (("Vary", "Origin"),)
            )
        try:
            answer = None
            if self._pressure.tight or source.quota:
                answer = self._not_now(request, source)
            answer = answer or await take(request, source)
        except Unavailable as trouble:  # why, is for /readyz: the public need not know our insides
            self._metrics.append_failures.inc()
            wait_s = str(max(1, round(trouble.retry_after_s)))
            answer = self._refusal(
                "log_unavailable",
                "nothing of this request was accepted",
                (("Retry-After", wait_s),),
            )
        except Exception as bug:  # noqa: BLE001 - the edge: answer, count, serve the next
            # Without the words of the bug, which may quote what was sent.
            frames = traceback.extract_tb(bug.__traceback__)
            where = [f"{frame.filename}:{frame.lineno}" for frame in frames]
            _logger.error("a request failed", bug=type(bug).__name__, where=where)
            answer = self._refusal("internal_error", "send it again later")
        answer.also(headers)
        return answer

    def _unknown(self, request: web.Request) -> Answer:
        wait_s = self._strangers.wait_s(receipt_of(request, self._trusted, self._now_ms()).ip)
        if wait_s:
            return self._wait("too_many_unknown_keys", wait_s)
        return self._refusal(
            "unknown_key",
            "no known key: Authorization: Bearer KEY, or ?key= for browser keys",
            (("WWW-Authenticate", "Bearer"),),
        )

    def _not_now(self, request: web.Request, source: Source) -> Answer | None:
        """Turn a request away before its body is read, or give nothing when it is let in."""
        if self._early.why_not(request.headers) is not None:
            answer = self._refusal("overloaded", "send it again", (("Retry-After", retry_after()),))
        elif source.quota and (wait_s := source.quota.wait_s(time.monotonic())):
            self._metrics.over_quota.labels(source.site).inc()
            answer = self._wait("quota_exceeded", wait_s)
        else:
            return None
        if not request.content.is_eof():  # it is not read, so nothing else can come behind it
            answer.force_close()
        return answer

    def _wait(self, code: str, wait_s: float) -> Answer:
        wait_s = math.ceil(wait_s)
        return self._refusal(code, f"wait {wait_s} s", (("Retry-After", str(wait_s)),))

    async def _body(self, request: web.Request) -> bytes | Unreadable:
        settings = self._settings
        return await body.read(
            request, settings.max_body_bytes, settings.body_timeout_s, self._pressure
        )

    async def _take(self, request: web.Request, source: Source) -> Answer:
        sent = await self._body(request)
        claims = decode(sent, self._settings.max_events) if isinstance(sent, bytes) else sent
        if isinstance(claims, Unreadable):
            return self._refusal(claims.code, claims.detail)
        admission = await self._admitted(request, source, claims)
        if admission is None:
            return self._consent_unknown()
        return Answer(202, said(admission), JSON)

    async def _take_pixel(self, request: web.Request, source: Source) -> Answer:
        if source.channel != "browser":  # a secret has no business in an image of a page
            return self._unknown(request)
        url = request.rel_url
        claims = claims_of(url.raw_query_string, url.query.items())
        admission = await self._admitted(request, source, claims)
        return Answer(200, b"") if admission is not None else self._consent_unknown()

    def _consent_unknown(self) -> Answer:
        return self._refusal("consent_unknown", "send it again", (("Retry-After", "1"),))

    async def _admitted(
        self, request: web.Request, source: Source, claims: Claims
    ) -> Admission | None:
        """Admit, and append; nothing where consent counts that may have been withdrawn."""
        country_header = self._settings.country_header
        receipt = receipt_of(request, self._trusted, self._now_ms(), country_header)
        carried = carried_of(request)
        if self._knows_too_little and needs_consent(claims, receipt, source, carried):
            return None
        if source.quota:
            source.quota.take(len(claims.events))
        control = self._control
        admission = admit(claims, receipt, source, carried, control.of, control.erased_until)
        await self._append(admission)
        count(source, receipt, claims, admission, self._tallies, self._metrics)
        reach("before the answer")
        return admission

    async def _take_decision(self, request: web.Request, source: Source) -> Answer:
        sent = await self._body(request)
        if isinstance(sent, Unreadable):
            return self._refusal(sent.code, sent.detail)
        decision = decode_decision(sent)
        if isinstance(decision, Refused):
            why = f"{decision.code}: {decision.detail} - at {decision.path}"
            return self._refusal("bad_decision", why)
        if source.quota:
            source.quota.take(1)
        receipt = receipt_of(request, self._trusted, self._now_ms())
        await self._decisions.take(decision, receipt, source)
        self._metrics.decisions.labels(source.site, decision.action).inc()
        reach("before the answer to a decision")
        return Answer(202, b'{"accepted":1}', JSON)

    async def _append(self, admission: Admission) -> None:
        if not admission.admitted:
            return
        size = admission.size_bytes
        self._pressure.bytes += size
        started = time.perf_counter()
        try:
            await self._log.append(admission.admitted)
        finally:
            self._pressure.bytes -= size
        took_s = time.perf_counter() - started
        self._pressure.appended(took_s)
        self._metrics.append_seconds.observe(took_s)

    def _refusal(self, code: str, detail: str, headers: Headers = ()) -> Answer:
        known = CODES[code]
        status = known.http_status or 400
        said_of_it = orjson.dumps({"code": code, "meaning": known.meaning, "detail": detail})
        return Answer(status, said_of_it, JSON + headers)


async def _when_it_is_read(_: web.Request) -> None:
    """Say nothing to `Expect: 100-continue` yet: whoever reads the body does (`collector.body`)."""
