"""What is taken of whom: from the head and body of a request to durable records, and its answer.

How a request came in and how its answer goes out is not known here. Invariants:

1. A 2xx is told after the log told that it has everything that was admitted (P1).
2. Nothing but what `admit` returned reaches the log (P4).
3. Every answer to a page names its origin, and only an origin of the key's own site.
4. Every request has one answer, counted under a route from a fixed list, and it tells nothing of
   our insides.
"""

import time
import traceback
from collections.abc import Callable
from datetime import datetime
from functools import partial
from ipaddress import ip_network
from typing import Literal

import msgspec
import structlog

from collector.admission import Admission
from collector.admit import admit, needs_consent
from collector.answer import JSON, Answer, Headers, refusal, said, wait
from collector.caller import cors, receipt_of, source_of
from collector.consent import Decisions, Logs, decode_decision
from collector.counting import count
from collector.decode import Claims, Unreadable, decode
from collector.early import Early, retry_after
from collector.head import Head
from collector.known import Known
from collector.pixel import claims_of
from collector.places import Places
from collector.pressure import Bounds, Pressure
from collector.quota import Strangers
from collector.source import Source, Sources
from collector.tally import Tallies
from collector.times import day_of
from spine.codes import Refused
from spine.errors import Unavailable
from spine.failpoint import reach
from spine.metrics import Metrics
from spine.settings import CollectorSettings

_logger = structlog.get_logger()

Route = Literal["events", "pixel", "consent"]

Tell = Callable[[Answer], None]
"""Told the answer to a request, once."""


class Caller(msgspec.Struct, frozen=True):
    """Who has been let in, and by which way.

    Shape: `peer` is the address that is connected, empty where the socket has none; `headers` are
    what every answer says: who may read it."""

    source: Source
    peer: str
    headers: Headers
    route: Route


class _Waiting(msgspec.Struct, frozen=True):
    """A request that waits for the log, with only what its answer needs: hundreds wait at once.

    Units: `put_at` is of `time.perf_counter`."""

    caller: Caller
    received_ms: int
    sent_at: datetime | None
    admission: Admission
    size_bytes: int
    put_at: float
    tell: Tell


class Intake:
    """Everything that is needed to take what is sent, handed in."""

    def __init__(
        self,
        logs: Logs,
        sources: Sources,
        tallies: Tallies,
        settings: CollectorSettings,
        metrics: Metrics,
        now_ms: Callable[[], int],
    ) -> None:
        self._log, self._control, self._salts = logs
        self._decisions = Decisions(logs)
        self._sources = sources
        self._tallies = tallies
        self._settings = settings
        self._metrics = metrics
        self._now_ms = now_ms
        self._trusted = [ip_network(network) for network in settings.trusted_proxies]
        bounds = Bounds(
            settings.max_in_flight_bytes,
            settings.max_in_flight_requests,
            settings.max_wait_ms / 1000,
        )
        self.pressure = Pressure(bounds)
        self.early = Early(sources, self.pressure, metrics)
        self.places = Places(settings.country_file, metrics)
        self._strangers = Strangers(settings.unknown_keys_per_minute)
        metrics.in_flight_bytes.set_function(lambda: self.pressure.bytes)

    @property
    def _knows_too_little(self) -> bool:
        return self._control.age_s > self._settings.withdrawals_max_age_s

    def let_in(self, head: Head, peer: str, route: Route, *, whole: bool) -> Caller | Answer:
        """Say who sends, or what is answered to who may not, or not now.

        Shape: of a request that is not `whole` the body is still to come."""
        try:
            return self._let_in(head, peer, route, whole=whole)
        except Exception as bug:  # noqa: BLE001 - the edge: answer, count, serve the next
            return self.counted(route, self._troubled(bug))

    def _let_in(self, head: Head, peer: str, route: Route, *, whole: bool) -> Caller | Answer:
        source = source_of(head, self._sources)
        if source is None:
            return self.counted(route, self._unknown(head, peer))
        headers = cors(head, source)
        if headers is None:
            why = "this origin is not in sites.*.origins"
            return self.counted(route, refusal("origin_not_allowed", why, (("Vary", "Origin"),)))
        caller = Caller(source, peer, headers, route)
        if self.pressure.tight or source.quota:
            answer = self._not_now(head, source)
            if answer is not None:
                # The body is not read then, so nothing else can come behind it.
                answer.closes = not whole
                return self._final(caller, answer)
        return caller

    def take(self, caller: Caller, head: Head, sent: bytes | Unreadable, tell: Tell) -> None:
        """Take one event or a batch; tell the answer when everything accepted is durable."""
        try:
            claims = decode(sent, self._settings.max_events) if isinstance(sent, bytes) else sent
            if isinstance(claims, Unreadable):
                answer: Answer | None = refusal(claims.code, claims.detail)
            else:
                answer = self._put(caller, head, claims, tell)
        except Exception as trouble:  # noqa: BLE001 - the edge: answer, count, serve the next
            answer = self._troubled(trouble)
        if answer is not None:
            tell(self._final(caller, answer))

    def take_pixel(self, caller: Caller, head: Head, tell: Tell) -> None:
        """Take one event from the address; tell the answer when it is durable."""
        try:
            if caller.source.channel == "browser":
                url = head.url
                claims = claims_of(url.raw_query_string, url.query.items())
                answer = self._put(caller, head, claims, tell)
            else:  # a secret has no business in an image of a page
                answer = self._unknown(head, caller.peer)
        except Exception as trouble:  # noqa: BLE001 - the edge: answer, count, serve the next
            answer = self._troubled(trouble)
        if answer is not None:
            tell(self._final(caller, answer))

    async def decide(self, caller: Caller, head: Head, sent: bytes | Unreadable) -> Answer:
        """Take a consent decision; answer when it is durable and in force here."""
        try:
            answer = await self._decided(caller, head, sent)
        except Exception as trouble:  # noqa: BLE001 - the edge: answer, count, serve the next
            answer = self._troubled(trouble)
        return self._final(caller, answer)

    def given_up(self, caller: Caller, head: Head) -> Answer:
        """Answer a request of which part of the body came, and for the rest there is no room."""
        self.early.count("bytes", head)
        answer = _overloaded()
        answer.closes = True
        return self._final(caller, answer)

    def failed(self, caller: Caller, bug: Exception) -> Answer:
        """Answer a request whose body could not be read, by our fault."""
        return self._final(caller, self._troubled(bug))

    async def _decided(self, caller: Caller, head: Head, sent: bytes | Unreadable) -> Answer:
        if isinstance(sent, Unreadable):
            return refusal(sent.code, sent.detail)
        decision = decode_decision(sent)
        if isinstance(decision, Refused):
            why = f"{decision.code}: {decision.detail} - at {decision.path}"
            return refusal("bad_decision", why)
        source = caller.source
        if source.quota:
            source.quota.take(1)
        receipt = receipt_of(head, caller.peer, self._trusted, self._now_ms())
        await self._decisions.take(decision, receipt, source)
        self._metrics.decisions.labels(source.site, decision.action).inc()
        reach("before the answer to a decision")
        return Answer(202, b'{"accepted":1}', JSON)

    def _put(self, caller: Caller, head: Head, claims: Claims, tell: Tell) -> Answer | None:
        """Admit, and put on the log; give the answer, or nothing while it waits for the log."""
        source = caller.source
        where = self._settings.country_header, self.places
        receipt = receipt_of(head, caller.peer, self._trusted, self._now_ms(), *where)
        carried = head.carried
        if self._knows_too_little and needs_consent(claims, receipt, source, carried):
            return refusal("consent_unknown", "send it again", (("Retry-After", "1"),))
        if source.quota:
            source.quota.take(len(claims.events))
        control = self._control
        salt = None
        if self._salts is not None:
            salt = self._salts.of(source.site, day_of(receipt.received_ms, source))
        known = Known(control.of, control.erased_until, salt, self.places.of)
        admission = admit(claims, receipt, source, carried, known)
        size_bytes, times = admission.size_bytes, (receipt.received_ms, claims.sent_at)
        waiting = _Waiting(caller, *times, admission, size_bytes, time.perf_counter(), tell)
        if not admission.admitted:
            return self._fared(waiting)
        self.pressure.bytes += size_bytes
        try:
            self._log.put(admission.admitted, partial(self._settled, waiting))
        except Exception:
            self.pressure.bytes -= size_bytes
            raise
        return None

    def _settled(self, waiting: _Waiting, trouble: BaseException | None) -> None:
        """Tell the answer, now that the log has told what came of the events."""
        self.pressure.bytes -= waiting.size_bytes
        try:
            if trouble is None:
                took_s = time.perf_counter() - waiting.put_at
                self.pressure.appended(took_s)
                self._metrics.append_seconds.observe(took_s)
                answer = self._fared(waiting)
            else:
                answer = self._troubled(trouble)
        except Exception as bug:  # noqa: BLE001 - the edge: answer, count, serve the next
            answer = self._troubled(bug)
        waiting.tell(self._final(waiting.caller, answer))

    def _fared(self, waiting: _Waiting) -> Answer:
        source, admission = waiting.caller.source, waiting.admission
        times = waiting.received_ms, waiting.sent_at
        count(source, *times, admission, self._tallies, self._metrics)
        reach("before the answer")
        if waiting.caller.route == "pixel":
            return Answer(200, b"")
        return Answer(202, said(admission), JSON)

    def _troubled(self, trouble: BaseException) -> Answer:
        if isinstance(trouble, Unavailable):
            # Why, is for /readyz: the public need not know our insides.
            self._metrics.append_failures.inc()
            wait_s = str(max(1, round(trouble.retry_after_s)))
            why = "nothing of this request was accepted"
            return refusal("log_unavailable", why, (("Retry-After", wait_s),))
        # Without the words of the bug, which may quote what was sent.
        frames = traceback.extract_tb(trouble.__traceback__)
        where = [f"{frame.filename}:{frame.lineno}" for frame in frames]
        _logger.error("a request failed", bug=type(trouble).__name__, where=where)
        return refusal("internal_error", "send it again later")

    def _unknown(self, head: Head, peer: str) -> Answer:
        wait_s = self._strangers.wait_s(receipt_of(head, peer, self._trusted, self._now_ms()).ip)
        if wait_s:
            return wait("too_many_unknown_keys", wait_s)
        return refusal(
            "unknown_key",
            "no known key: Authorization: Bearer KEY, or ?key= for browser keys",
            (("WWW-Authenticate", "Bearer"),),
        )

    def _not_now(self, head: Head, source: Source) -> Answer | None:
        if self.early.why_not(head) is not None:
            return _overloaded()
        if source.quota and (wait_s := source.quota.wait_s(time.monotonic())):
            self._metrics.over_quota.labels(source.site).inc()
            return wait("quota_exceeded", wait_s)
        return None

    def _final(self, caller: Caller, answer: Answer) -> Answer:
        answer.headers += caller.headers
        return self.counted(caller.route, answer)

    def counted(self, route: str, answer: Answer) -> Answer:
        """Count an answer."""
        self._metrics.requests.by[route, str(answer.status)] += 1
        return answer


def _overloaded() -> Answer:
    return refusal("overloaded", "send it again", (("Retry-After", retry_after()),))
