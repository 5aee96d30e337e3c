"""The listener for operations: health, metrics, the ledger, and where an event is.

Where a token is set, only health and readiness are answered without it, and tell no reasons. To
erase somebody needs the token always: a page in a browser of this machine must not be able to. Nor
may it read without one, through a name that resolves to this machine.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from beleg.erasure.erasures import Erasures, Wanted
from beleg.identity.books import Split, named, take_split
from beleg.openapi import description
from beleg.rates import NotTaken, Rates, take_rates
from processors.balance import Balance, balance
from processors.trace import rejected, trace
from spine.access import bearer, fits, is_of_a_page, is_this_machine
from spine.codes import CODES
from spine.errors import Unavailable
from spine.log import Log
from spine.store import Store

Check = Callable[[], Awaitable[None]]
Exposition = Callable[[], Awaitable[bytes]]
_MOST_BODY_BYTES = (
    64 << 20
)  # the ECB's rates since 1999 are a tenth; only who knows a secret is read
_OPEN = ("/healthz", "/readyz")  # what load balancers and orchestrators ask, who keep no secrets


class Admin:
    """What operations may ask one process."""

    def __init__(self, exposition: Exposition, checks: Sequence[Check], token: str = "") -> None:
        self._exposition = exposition
        self._checks = checks
        self._token = token
        self._books: tuple[Log, str, Store] | None = None
        self._erasures: Erasures | None = None
        self._ticket = ""
        self.draining = False

    def open_books(self, log: Log, log_id: str, store: Store) -> None:
        """Let this process answer about the ledger and single events too."""
        self._books = (log, log_id, store)

    def erase_with(self, erasures: Erasures, ticket: str) -> None:
        """Let this process erase people. The ticket lets commands of this machine ask for it."""
        self._erasures = erasures
        self._ticket = ticket

    def application(self) -> web.Application:
        """Give the application with all routes of the admin listener."""
        app = web.Application(middlewares=[_guard(self._knows)], client_max_size=_MOST_BODY_BYTES)
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/metrics", self.exposition)
        app.router.add_get("/openapi.json", self.openapi)
        if self._books is not None:
            app.router.add_get("/ledger", self.ledger)
            app.router.add_get("/events/{event_id}", self.event)
        if self._erasures is not None:
            app.router.add_post("/erasures", self.post_erasure)
            app.router.add_get("/erasures/{erasure}", self.erasure)
            app.router.add_post("/identity/splits", self.post_split)
            app.router.add_post("/rates", self.post_rates)
        return app

    def _knows(self, request: web.Request) -> bool:
        if request.method == "GET" and not self._token and _is_at_this_machine(request):
            return True
        given = bearer(request.headers.get("Authorization", ""))
        return any(fits(given, one) for one in (self._token, self._ticket) if one)

    async def healthz(self, _: web.Request) -> web.Response:
        """Alive: the event loop turns."""
        return web.Response(text="alive\n")

    async def readyz(self, request: web.Request) -> web.Response:
        """Ready: the log takes writes, the store answers, and nobody asked to stop."""
        why = await self.why_not_ready()
        if not why:
            return web.Response(text="ready\n")
        if not self.draining and not self._knows(request):
            why = "not ready"
        return web.Response(status=503, text=f"{why}\n")

    async def why_not_ready(self) -> str:
        """Give what keeps this process from its work; empty when nothing does."""
        if self.draining:
            return "draining"
        try:
            for check in self._checks:
                await check()
        except Unavailable as trouble:
            return trouble.what
        return ""

    async def exposition(self, _: web.Request) -> web.Response:
        """Metrics in Prometheus' text format."""
        return web.Response(
            body=await self._exposition(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    async def openapi(self, _: web.Request) -> web.Response:
        """The description of this listener and the public one, `docs/openapi.json`."""
        return web.Response(body=description(), content_type="application/json")

    async def ledger(self, _: web.Request) -> web.Response:
        """The balance of every partition; 500 when one does not hold."""
        assert self._books is not None  # noqa: S101 - the route exists only with books
        log, log_id, store = self._books
        try:
            balances = await balance(store, log_id, await log.bounds())
        except Unavailable as trouble:
            return _json({"trouble": trouble.what}, 503)
        return _json(ledger_report(log_id, balances), 200 if holds(balances) else 500)

    async def event(self, request: web.Request) -> web.Response:
        """The whole path of one event id; 404 when nothing has landed under it."""
        assert self._books is not None  # noqa: S101 - the route exists only with books
        event_id = request.match_info["event_id"]
        try:
            paths = await trace(self._books[2], event_id)
            unread = await rejected(self._books[2], event_id)
        except Unavailable as trouble:
            return _json({"trouble": trouble.what}, 503)
        return _json({"events": paths, "rejected": unread}, 200 if paths else 404)

    async def post_erasure(self, request: web.Request) -> web.Response:
        """Erase a person: 202 when nothing shows it any more, 404 when nobody is known."""
        assert self._erasures is not None  # noqa: S101 - the route exists only with erasures
        try:
            wanted = msgspec.json.decode(await request.read(), type=Wanted)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _refusal("bad_erasure", str(error))
        try:
            erasure = await self._erasures.take(wanted)
        except Unavailable as trouble:
            return _json({"trouble": trouble.what}, 503)
        return _json({"erasure": erasure}, 202 if erasure else 404)

    async def erasure(self, request: web.Request) -> web.Response:
        """How far an erasure is, with its receipt once it is closed; 404 for none of this id."""
        assert self._erasures is not None  # noqa: S101 - the route exists only with erasures
        try:
            found = await self._erasures.state(request.match_info["erasure"])
        except Unavailable as trouble:
            return _json({"trouble": trouble.what}, 503)
        return _json(found._asdict() if found else {}, 200 if found else 404)

    async def post_split(self, request: web.Request) -> web.Response:
        """Let evidence count no more, or again: 200 when every row says so, 404 for none."""
        assert self._books is not None  # noqa: S101 - whoever erases has books
        try:
            asked = msgspec.json.decode(await request.read(), type=Split)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _refusal("bad_split", str(error))
        for text in (asked.one, asked.other):
            if named(text) is None:
                return _refusal("bad_split", f'"{text}" is no KIND=VALUE, as user_id=customer-7')
        try:
            done = await take_split(self._books[2], asked)
        except Unavailable as trouble:
            return _json({"trouble": trouble.what}, 503)
        return _json({}, 200 if done else 404)

    async def post_rates(self, request: web.Request) -> web.Response:
        """Store exchange rates, all of a file or nothing: 200 when they count."""
        assert self._books is not None  # noqa: S101 - whoever erases has books
        try:
            asked = msgspec.json.decode(await request.read(), type=Rates)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _refusal("bad_rates", str(error))
        try:
            taken = await take_rates(self._books[2], asked)
        except Unavailable as trouble:
            return _json({"trouble": trouble.what}, 503)
        if isinstance(taken, NotTaken):
            return _refusal("bad_rates", f"{taken.about}: {taken.why}")
        return _json(taken, 200)


def _guard(knows: Callable[[web.Request], bool]) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in _OPEN and not knows(request):
            refusal = _refusal("unknown_token", "send Authorization: Bearer and admin.token")
            refusal.headers["WWW-Authenticate"] = "Bearer"
            return refusal
        try:
            return await handler(request)
        except web.HTTPMethodNotAllowed as known:
            allowed = known.headers["Allow"]
            refusal = _refusal("method_not_allowed", f"send {allowed.partition(',')[0]}")
            refusal.headers["Allow"] = allowed
            return refusal
        except web.HTTPNotFound:
            return _refusal("not_found", "/openapi.json tells all paths")

    return guard


def _is_at_this_machine(request: web.Request) -> bool:
    return is_this_machine(request.host) and not is_of_a_page(request.headers)


def _refusal(name: str, detail: str) -> web.Response:
    code = CODES[name]
    body = {"code": code.name, "meaning": code.meaning, "detail": detail}
    return _json(body, code.http_status or 400)


def holds(balances: Sequence[Balance]) -> bool:
    """Say whether every position has exactly one fate and none was lost."""
    return all(one.unbalanced is None and one.lost == 0 for one in balances)


def ledger_report(log_id: str, balances: Sequence[Balance]) -> dict[str, Any]:
    """Give the balance as it is answered and printed."""
    return {
        "log_id": log_id,
        "holds": holds(balances),
        "partitions": [one._asdict() for one in balances],
    }


def _json(value: object, status: int) -> web.Response:
    body = msgspec.json.encode(value)
    return web.Response(status=status, body=body, content_type="application/json")
