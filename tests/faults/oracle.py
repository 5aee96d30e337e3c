"""The judgement: what the store shows against what the clients know and a plain model says."""

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from spine.store import Store
from tests.faults.truth import Truth
from tests.flow.derive_model import Outcome, outcome
from tests.flow.happenings import Happening
from tests.flow.houses import House
from tests.flow.views import found

_SETTLES_WITHIN_S = 90


class Judgement(NamedTuple):
    """The figures of a check that found nothing wrong, `lost` and `twice` being 0."""

    attempts: int
    events_sent: int
    acknowledged: int
    landed: int
    tallied: int
    lost: int
    twice: int


def settle(house: House, processor: str) -> None:
    """Return when every position of the log has its fate and the ledger holds."""
    until = time.monotonic() + _SETTLES_WITHIN_S
    report: Mapping[str, Any] = {}
    while time.monotonic() < until:
        report = _ledger(house.addresses[f"{processor} admin"])
        partitions = report.get("partitions", ())
        if partitions and not any(one["pending"] for one in partitions):
            break
        time.sleep(0.1)
    else:
        raise AssertionError(f"something stays pending: {report}")
    assert report["holds"], report
    assert sum(one["lost"] for one in report["partitions"]) == 0, report


def _ledger(address: str) -> Mapping[str, Any]:
    try:
        with urllib.request.urlopen(f"http://{address}/ledger", timeout=30) as answer:
            return dict(json.loads(answer.read()))
    except urllib.error.HTTPError as refusal:
        return dict(json.loads(refusal.read()))


async def check(house: House, truth: Truth) -> Judgement:
    """Compare everything, when nothing is pending and nobody sends."""
    store = await Store.ask(_address(house))
    try:
        landed = await _landed(store, truth)
        expected = outcome(landed)
        _same(await found(store, "shop"), expected)
        await _daily_numbers(store, expected, landed)
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
    landed = [truth.sent[identity] for identity in stored]
    shown = await store.select("SELECT name, event_id, seen_browser, seen_server FROM v_events")
    channels: dict[tuple[str, str], set[str]] = {}
    for told in landed:
        channels.setdefault((told.name, told.event_id), set()).add(told.channel)
    _equal(
        [(name, number, bool(browser), bool(server)) for name, number, browser, server in shown],
        [(*key, "browser" in sides, "server" in sides) for key, sides in channels.items()],
        "v_events",
    )
    return landed


def _same(shown: Outcome, expected: Outcome) -> None:
    _equal(shown.sessions, expected.sessions, "v_sessions")
    _equal(shown.orders, expected.orders, "v_orders")
    _equal(list(shown.persons.items()), list(expected.persons.items()), "v_persons")


def _equal(shown: Sequence[Any], expected: Sequence[Any], what: str) -> None:
    more, less = Counter(shown) - Counter(expected), Counter(expected) - Counter(shown)
    assert not more and not less, (
        f"{what} shows {sum(more.values())} rows it must not and lacks {sum(less.values())}:\n"
        f"  not expected: {list(more.items())[:5]}\n  missing: {list(less.items())[:5]}"
    )


async def _daily_numbers(store: Store, expected: Outcome, landed: Sequence[Happening]) -> None:
    orders: dict[str, list[Any]] = {}
    for state in expected.orders:
        if state.ordered_ms is not None:
            sums = orders.setdefault(state.currency, [0, Decimal(0), Decimal(0)])
            sums[0] += 1
            sums[1] += state.gross or 0
            sums[2] += state.refunded or 0
    _equal(
        await store.select(
            "SELECT currency, sum(orders), sum(gross), sum(refunded), sum(net) FROM v_kpi_daily"
            " WHERE orders > 0 GROUP BY currency"
        ),
        [
            (currency, count, gross, refunded, gross - refunded)
            for currency, (count, gross, refunded) in orders.items()
        ],
        "v_kpi_daily, by currency",
    )
    leads = {told.event_id for told in landed if told.name == "generate_lead"}
    engaged = sum(session.engaged for session in expected.sessions)
    _equal(
        await store.select(
            "SELECT sum(sessions), sum(engaged_sessions), sum(leads) FROM v_kpi_daily"
        ),
        [(len(expected.sessions), engaged, len(leads))],
        "v_kpi_daily, in all",
    )


async def _tallies(store: Store, truth: Truth) -> int:
    ((counted,),) = await store.select("SELECT sum(count) FROM tallies FINAL")
    fewest, most = truth.tally_bounds()
    assert fewest <= counted <= most, f"tallies count {counted}, not {fewest} to {most}"
    return int(counted)
