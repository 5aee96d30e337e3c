"""How many persons a day has: as many as visitors, but for those of whom there is evidence."""

from datetime import UTC, date, datetime
from typing import Any

from spine.store import Store
from tests.flow.happenings import DAY_MS, HOUR_MS, Happening, Order, records
from tests.flow.passage import enter_site, process

NINE_MS = int(datetime(2024, 1, 10, 9, tzinfo=UTC).timestamp() * 1000)


def _view(site: str, hour: int, **more: Any) -> Happening:
    at_ms = NINE_MS + hour * HOUR_MS
    return Happening(site, "page_view", f"v{hour}-{more}", at_ms)._replace(**more)


async def _counted(store: Store, site: str) -> list[tuple[Any, ...]]:
    return await store.select(
        "SELECT toUInt32(sum(sessions)), toUInt32(sum(visitors)), toUInt32(sum(persons))"
        f" FROM v_kpi_daily WHERE site = '{site}' GROUP BY date ORDER BY date"
    )


async def test_one_who_comes_by_two_devices_and_by_name_alone_is_one_person(
    store: Store, site: str
) -> None:
    await enter_site(store, site, timezone="UTC")
    told = [
        _view(site, 0, anonymous_id="phone", user_id="u"),
        _view(site, 1, anonymous_id="laptop", user_id="u"),
        _view(site, 2, user_id="u"),
        _view(site, 3, user_id="somebody else"),
        _view(site, 4, anonymous_id="nobody"),
    ]
    await process(store, f"log-{site}", records(told))
    assert await _counted(store, site) == [(5, 5, 3)]


async def test_one_device_of_two_in_turn_is_two_persons_on_one_day_and_one_on_the_next(
    store: Store, site: str
) -> None:
    await enter_site(store, site, timezone="UTC")
    told = [
        _view(site, 0, anonymous_id="kiosk", user_id="u1"),
        _view(site, 2, anonymous_id="kiosk", user_id="u2"),
        _view(site, 24, anonymous_id="kiosk"),
    ]
    await process(store, f"log-{site}", records(told))
    assert await _counted(store, site) == [(2, 1, 2), (1, 1, 1)]


async def test_a_day_on_which_only_something_came_back_has_a_row(store: Store, site: str) -> None:
    await enter_site(store, site, timezone="UTC")
    bought = Happening(site, "purchase", "p", NINE_MS, "server", path=None, order=Order("t", "9"))
    back = bought._replace(name="refund", event_id="r", at_ms=NINE_MS + DAY_MS)
    await process(store, f"log-{site}", records([bought, back]))
    rows = await store.select(
        "SELECT date, orders, toFloat64(refunded), toFloat64(refunded_on_date) FROM v_kpi_daily"
        f" WHERE site = '{site}' ORDER BY date"
    )
    assert rows == [(date(2024, 1, 10), 1, 9.0, 0.0), (date(2024, 1, 11), 0, 0.0, 9.0)]
