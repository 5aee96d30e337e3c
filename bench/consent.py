"""What deciding about consent costs an event of a known visitor, and a string never seen before.

Measured in this process, CPU time, the best of some rounds; no collector, no log.
"""

import time
from collections.abc import Callable, Iterator

import msgspec
import orjson

from bench.figure import Cost, Figure
from bench.traffic import Span, visits
from consent_rules.decide import Kept, decide
from consent_rules.rules import load
from consent_rules.standing import NOTHING, Carried
from spine.digest import visitor_of_day
from spine.event import Event
from tests.unit.consent_rules.signals.tc_encoder import encoded

_RULES = load("eu")
_COOKIELESS = load("fr_cookieless")
_SALT, _AGENT = bytes(32), "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
_AT_MS = 1_795_341_600_000  # 2026-11-22
_VISITORS = 500
_VENDORS = frozenset(range(1, 1_200, 3)) | frozenset(range(400, 1_000))  # 800 of them
_PURPOSES = {"analytics": True, "ads_measurement": True}

_decoder = msgspec.json.Decoder(Event)
_Sent = list[tuple[Event, Carried]]


def measure(rounds: int) -> list[Figure]:
    """Measure decisions about events: of visitors who said the same before, and fresh strings."""
    strings, silent, refused = _strings(), _silent_strings(), _without_ads()
    known = [next(strings) for _ in range(_VISITORS)]
    days = [f"2026-11-{1 + n % 20:02d}T10:{n % 60:02d}:00Z" for n in range(_VISITORS)]

    # Every request brings texts of its own: what is remembered is found by what they say.
    def claims() -> _Sent:
        return [(_event({"purposes": _PURPOSES, "decided_at": day}), NOTHING) for day in days]

    def strings_of_events() -> _Sent:
        return [(_event({"tcf": text}), NOTHING) for text in known]

    def undecided() -> _Sent:
        return [(_event({"tcf": text}), NOTHING) for text in silent]

    def strings_of_requests() -> _Sent:
        return [(_event(None), Carried(tcf=_copy(text))) for text in known]

    def ads_refused() -> _Sent:
        return [(_decoder.decode(page), NOTHING) for page in refused]

    def fresh_strings() -> _Sent:
        return [(_event(None), Carried(tcf=next(strings))) for _ in range(_VISITORS)]

    return [
        _figure("an event, its consent object known", claims, rounds),
        _figure("an event, the TC string in it known", strings_of_events, rounds, 15),
        _figure("an event, the TC string of its request known", strings_of_requests, rounds, 15),
        _figure(
            "an event with an id of the day, the TC string known",
            undecided,
            rounds,
            15,
            by_day=True,
        ),
        _figure("an event of the shop, ads refused", ads_refused, rounds),
        _figure("an event, its TC string of 800 vendors fresh", fresh_strings, rounds, 2_000),
    ]


def _event(consent: object) -> Event:
    raw = msgspec.Raw(msgspec.json.encode(consent)) if consent else msgspec.Raw()
    return Event(name="page_view", event_id="e-1", anonymous_id="a-1", consent=raw)


def _strings() -> Iterator[str]:
    at_ms = _AT_MS - 86_400_000
    while True:
        yield encoded(
            created_ms=at_ms, vendors=_VENDORS, disclosed=_VENDORS, publisher=(1, 7, 8, 9)
        )
        at_ms -= 100


def _silent_strings() -> list[str]:
    """Of 2026, and silent about vendors: nothing is granted, and what needs no consent is kept."""
    days_ms = [_AT_MS - 86_400_000 - n * 100 for n in range(_VISITORS)]
    return [encoded(created_ms=at_ms, disclosed=None) for at_ms in days_ms]


def _without_ads() -> list[bytes]:
    pages = visits(_VISITORS, Span(_AT_MS - 3_600_000, _AT_MS))
    consent = {"purposes": {"analytics": True, "ads_measurement": False}}
    return [orjson.dumps(page | {"consent": consent}) for page in pages]


def _copy(text: str) -> str:
    return text[:1] + text[1:]


def _figure(
    what: str,
    sends: Callable[[], _Sent],
    rounds: int,
    at_most_us: float | None = None,
    *,
    by_day: bool = False,
) -> Figure:
    decided = _told_by_day if by_day else _decided
    costs = [decided(sends()) for _ in range(rounds + 1)][1:]
    best = min(costs, key=lambda cost: cost.cpu_s)
    reached_us = best.cpu_s / best.events * 1e6
    return Figure(what, reached_us, "µs", floor=at_most_us, at_most=True, cost=best)


def _decided(sent: _Sent) -> Cost:
    began_s = time.process_time()
    decisions = [decide(_RULES, event, carried, _AT_MS) for event, carried in sent]
    cost = Cost(len(sent), time.process_time() - began_s)
    if not all(isinstance(decision, Kept) for decision in decisions):
        raise RuntimeError("an event with consent was not kept")
    return cost


def _told_by_day(sent: _Sent) -> Cost:
    began_s = time.process_time()
    decisions = [decide(_COOKIELESS, event, carried, _AT_MS) for event, carried in sent]
    for n, _ in enumerate(decisions):
        _ = visitor_of_day(_SALT, "shop", f"192.0.2.{n & 255}", _AGENT)
    cost = Cost(len(sent), time.process_time() - began_s)
    if not all(isinstance(decision, Kept) and decision.by_day for decision in decisions):
        raise RuntimeError("an event that needs no consent got no id of the day")
    return cost
