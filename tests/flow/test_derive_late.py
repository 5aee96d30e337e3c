"""What comes late, by years too, leaves every view byte for byte as if it had come in time (P6)."""

from collections.abc import Mapping, Sequence
from typing import Any

from spine.store import Row, Store
from tests.clickhouse_server import Server
from tests.flow.derived import land, own_store, shown
from tests.flow.happenings import DAY_MS, HOUR_MS, Happening, Order

LONG_AGO_MS = 1_483_995_600_000  # 2017-01-09 21:00 UTC, two hours before midnight in Berlin
MINUTE_MS = 60_000


def view(number: str, after_ms: int, **more: Any) -> Happening:
    told = Happening("shop", "page_view", number, LONG_AGO_MS + after_ms, "server", "a", None, "/")
    return told._replace(**more)


def bought(number: str, after_ms: int, **more: Any) -> Happening:
    return view(number, after_ms, name="purchase", path=None, order=Order(number, "10"), **more)


EMAIL, CPC = ("newsletter", "email"), ("google", "cpc", "winter")
STORIES = {
    "a bridge merges two sessions, and the second one's order is the first one's": (
        [view("e1", 0, campaign=CPC), view("e2", 50 * MINUTE_MS, campaign=EMAIL),
         bought("t1", 51 * MINUTE_MS)],
        [view("e3", 25 * MINUTE_MS)],
    ),
    "an earlier event moves a session to the day before, with another campaign and landing page": (
        [view("e1", 121 * MINUTE_MS, path="/b", campaign=EMAIL), bought("t1", 125 * MINUTE_MS)],
        [view("e2", 118 * MINUTE_MS, path="/a", campaign=CPC)],
    ),
    "a session that begins later takes an order away from the one before": (
        [view("e1", 0, campaign=CPC), bought("t1", 20 * HOUR_MS)],
        [view("e2", 19 * HOUR_MS, campaign=EMAIL)],
    ),
    "an earlier login moves a device to another person, and a first order to another customer": (
        [view("e1", 0, user_id="u2"), bought("t1", DAY_MS), bought("t2", 0, anonymous_id="b"),
         view("e2", -DAY_MS, anonymous_id="b", user_id="u1")],
        [view("e3", -HOUR_MS, user_id="u1")],
    ),
    "an earlier order makes a later one no first one, and a refund without a purchase finds it": (
        [bought("t1", DAY_MS), view("r", 2 * DAY_MS, name="refund", path=None, anonymous_id=None,
                                    order=Order("t0"))],
        [bought("t0", HOUR_MS), view("e1", 0, campaign=CPC)],
    ),
    "a browser's report that comes after the server's brings visitor, time and session of a lead": (
        [view("l", 5 * HOUR_MS, name="generate_lead", path=None, anonymous_id=None,
              order=Order(None, "50"))],
        [view("l", 0, name="generate_lead", channel="browser", order=Order(None, "5", "USD"))],
    ),
}  # fmt: skip


async def test_what_comes_late_is_as_if_it_had_come_in_time(clickhouse_server: Server) -> None:
    async with own_store(clickhouse_server) as in_time, own_store(clickhouse_server) as after:
        for number, (story, (first, late)) in enumerate(STORIES.items()):
            site = f"shop{number}"
            prompt = sorted([*first, *late], key=lambda one: one.at_ms)
            expected = await _shown(in_time, site, prompt, 99)
            assert await _shown(after, site, first, 1) != expected, f"nothing hangs on it: {story}"
            assert await _shown(after, site, [*first, *late], 1) == expected, story


async def _shown(
    store: Store, site: str, told: Sequence[Happening], size: int
) -> Mapping[str, Sequence[Row]]:
    await land(store, site, [one._replace(site=site) for one in told], size=size)
    return await shown(store, site)
