"""What it costs to enrich an event (`processors.enrichment.enrich`), and to make its rows.

Measured in this process, CPU time, the best of some rounds; no log, no store.
"""

import time
from collections.abc import Iterator, Sequence
from itertools import count

from bench.figure import Cost, Figure
from bench.raw_insert import admitted
from processors.enrichment.client import client
from processors.enrichment.enrich import enriched
from processors.judge import Reading, judge, read
from processors.rows import tables
from processors.site import Site
from spine.log import Record
from spine.record import EventRecord

_EVENTS = 10_000
_STRANGERS = 2_000
_SITES = {"shop": Site(frozenset({"shop.example"}))}
_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_SYSTEMS = ("Windows NT 10.0; Win64; x64", "X11; Linux x86_64", "Linux; Android 10; K")


def measure(rounds: int) -> list[Figure]:
    """Measure events of 300 browsers, which are known, and browsers never seen before."""
    agents = [_agent(number) for number in range(300)]
    values = admitted(_EVENTS, time.time_ns() // 1_000_000, agents)
    readings = read([Record(0, offset, value, 0) for offset, value in enumerate(values)])
    strangers = count(300)
    enriching = _best([_enriched(readings) for _ in range(rounds + 1)][1:])
    landing = _best([_rows(readings) for _ in range(rounds + 1)][1:])
    fresh = _best([_parsed(map(_agent, strangers)) for _ in range(3)])
    return [
        _figure("enrichment and rows of an event", landing, 25),
        _figure("  of it enrichment", enriching, None),
        _figure("a user agent never seen before", fresh, 250),
    ]


def _agent(number: int) -> str:
    system, version = _SYSTEMS[number % 3], 100 + number % 40
    return f"Mozilla/5.0 ({system}) {_WEBKIT} Chrome/{version}.0.{number}.0 Safari/537.36"


def _enriched(readings: Sequence[Reading]) -> Cost:
    records = [one.content for one in readings if isinstance(one.content, EventRecord)]
    began_s = time.process_time()
    for record in records:
        enriched(record, _SITES["shop"])
    return Cost(len(records), time.process_time() - began_s)


def _rows(readings: Sequence[Reading]) -> Cost:
    verdict = judge("log", readings, {})
    began_s = time.process_time()
    tables("log", verdict, _SITES)
    return Cost(len(verdict.fresh), time.process_time() - began_s)


def _parsed(agents: Iterator[str]) -> Cost:
    unseen = [next(agents) for _ in range(_STRANGERS)]
    began_s = time.process_time()
    for agent in unseen:
        client(agent, "")
    return Cost(_STRANGERS, time.process_time() - began_s)


def _best(costs: Sequence[Cost]) -> Cost:
    return min(costs, key=lambda cost: cost.cpu_s)


def _figure(what: str, cost: Cost, at_most_us: float | None) -> Figure:
    reached_us = cost.cpu_s / cost.events * 1e6
    return Figure(what, reached_us, "µs", floor=at_most_us, at_most=True, cost=cost)
