"""The judgement: what the store shows against what the clients know and a plain model says."""

import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from spine.store import Store
from tests.faults.sites import SITES, Site
from tests.faults.truth import Truth
from tests.flow.happenings import Happening
from tests.flow.houses import House, ledger_of, pending
from tests.flow.report_model import Report, report
from tests.flow.views import shown_report

_SETTLES_WITHIN_S = 180


class Judgement(NamedTuple):
    """The figures of a check that found nothing wrong, `lost` and `twice` being 0."""

    attempts: int
    events_sent: int
    acknowledged: int
    landed: int
    tallied: int
    lost: int
    twice: int


def settle(house: House, processor: str, collectors: Sequence[str] = ()) -> None:
    """Return when no spill holds anything, every position has its fate and the ledger holds."""
    until = time.monotonic() + _SETTLES_WITHIN_S
    report: Mapping[str, Any] = {}
    while any(_spilled(house.addresses[f"{role} admin"]) for role in collectors):
        assert time.monotonic() < until, "a spill is not handed over"
        time.sleep(0.1)
    while time.monotonic() < until:
        report = ledger_of(house.addresses[f"{processor} admin"])
        if report.get("partitions") and not pending(report):
            break
        time.sleep(0.1)
    else:
        raise AssertionError(f"something stays pending: {report}")
    assert report["holds"], report
    assert sum(one["lost"] for one in report["partitions"]) == 0, report


def _spilled(address: str) -> float:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("beleg_spill_records "))


async def check(house: House, truth: Truth) -> Judgement:
    """Compare everything, when nothing is pending and nobody sends."""
    store = await Store.ask(_address(house))
    try:
        landed = await _landed(store, truth)
        for site in SITES:
            here = [told for told in landed if told.site == site.name]
            _same(site.name, await shown_report(store, site.name),
                  report(here, site.currency, site.timezone, site.rule))  # fmt: skip
            await _consents(store, truth, site, here)
        tallied = await _tallies(store, truth)
    finally:
        await store.close()
    return Judgement(
        len(truth.attempts), len(truth.sent), len(truth.acknowledged), len(landed), tallied, 0, 0
    )


def _address(house: House) -> str:
    if house.store is None:
        return house.addresses["store"]
    return f"{house.store.host}:{house.store.port}"


async def _landed(store: Store, truth: Truth) -> list[Happening]:
    """Give what landed; nothing acknowledged is missing, nothing is there twice or unsent."""
    fates = await store.select("SELECT lower(hex(identity)) FROM fates FINAL WHERE fate = 'stored'")
    stored = [identity for (identity,) in fates]
    twice = [identity for identity, count in Counter(stored).items() if count > 1]
    assert not twice, f"counted twice: {[truth.sent[identity] for identity in twice]}"
    lost = truth.acknowledged - set(stored)
    assert not lost, f"acknowledged and lost: {[truth.sent[identity] for identity in lost]}"
    assert set(stored) <= set(truth.sent), "something landed that nobody sent"
    return [truth.sent[identity] for identity in stored]


def _same(site: str, shown: Report, expected: Report) -> None:
    for view, part, other in (
        ("v_events", shown.events, expected.events),
        ("v_sessions", shown.outcome.sessions, expected.outcome.sessions),
        ("v_orders", shown.outcome.orders, expected.outcome.orders),
        ("v_conversions", shown.conversions, expected.conversions),
        ("v_persons", shown.outcome.persons.items(), expected.outcome.persons.items()),
        ("v_funnel_daily", shown.funnel.items(), expected.funnel.items()),
        ("v_kpi_daily", shown.days.items(), expected.days.items()),
    ):
        _equal(part, other, f"{view} of {site}")


def _equal(shown: Iterable[Any], expected: Iterable[Any], what: str) -> None:
    more, less = Counter(shown) - Counter(expected), Counter(expected) - Counter(shown)
    assert not more and not less, (
        f"{what} shows {sum(more.values())} rows it must not and lacks {sum(less.values())}:\n"
        f"  not expected: {list(more.items())[:5]}\n  missing: {list(less.items())[:5]}"
    )


async def _consents(store: Store, truth: Truth, site: Site, landed: Sequence[Happening]) -> None:
    """What was kept is exact; a day is, but for events that were under way at its midnight."""
    shown: dict[date, tuple[int, int]] = {}
    for on, accepted, stripped, dropped, rate in await store.select(
        "SELECT date, accepted, stripped, dropped, consent_rate FROM v_consent_daily"
        " WHERE site = {site:String}",
        {"site": site.name},
    ):
        shown[on] = (accepted, stripped)
        decided = accepted + stripped + dropped
        assert rate == (accepted / decided if decided else None), (on, rate)
    bare = sum(told.stripped for told in landed)
    totals = tuple(map(sum, zip(*shown.values(), strict=True))) or (0, 0)
    assert totals == (len(landed) - bare, bare), (site.name, totals)
    days = truth.days_of_receipt(ZoneInfo(site.timezone))
    surely, maybe = Counter[tuple[date, bool]](), Counter[tuple[date, bool]]()
    for told in landed:
        possible = days[told.identity]
        maybe.update((on, told.stripped) for on in possible)
        surely.update((on, told.stripped) for on in possible if len(possible) == 1)
    for on, counts in shown.items():
        for stripped, count in enumerate(counts):
            about = (on, bool(stripped))
            assert surely[about] <= count <= maybe[about], (site.name, about, count)


async def _tallies(store: Store, truth: Truth) -> int:
    ((counted,),) = await store.select("SELECT sum(count) FROM tallies FINAL")
    fewest, most = truth.tally_bounds()
    assert fewest <= counted <= most, f"tallies count {counted}, not {fewest} to {most}"
    ((shown,),) = await store.select("SELECT sum(dropped + refused) FROM v_consent_daily")
    assert shown == counted, f"v_consent_daily counts {shown}, the tallies {counted}"
    return int(counted)
