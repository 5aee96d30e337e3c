"""What to know before a number is believed, against a small case worked out by hand."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from spine.store import Store
from tests.flow.happenings import DAY_MS, Happening, Order, records
from tests.flow.passage import enter_site, process

DAY = date(2024, 5, 2)
NOON_MS = int(datetime(2024, 5, 2, 12, tzinfo=UTC).timestamp() * 1000)


async def quality(store: Store, site: str) -> list[Mapping[str, Any]]:
    rows = await store.select(
        "SELECT * FROM v_data_quality_daily WHERE site = {site:String} ORDER BY date",
        {"site": site},
    )
    names = [row[0] for row in await store.select("DESCRIBE TABLE v_data_quality_daily")]
    return [dict(zip(names, row, strict=True)) for row in rows]


def seen(site: str, event_id: str, **more: Any) -> Happening:
    told = Happening(site, "page_view", event_id, NOON_MS, anonymous_id="a", received_on=19_845)
    return told._replace(**more)


def bought(site: str, number: str, value: str, **more: Any) -> Happening:
    told = seen(site, f"p-{number}-{value}", name="purchase", order=Order(number, value))
    return told._replace(**more)


async def test_what_arrived_is_told_by_the_day_of_receipt(store: Store, site: str) -> None:
    await enter_site(store, site)
    first = seen(site, "e1")
    told = [
        first,
        first,
        first._replace(path="/other"),
        first._replace(channel="server", late_ms=5),
        seen(site, "e2", late_ms=DAY_MS),
        seen(site, "e3", late_ms=DAY_MS + 1, flags=("time_clamped",)),
        seen(site, "e4", flags=("currency_filled", "consent_unreadable"), received_on=19_846),
    ]
    await process(store, f"log-{site}", records(told))
    today, tomorrow = await quality(store, site)
    arrived = ("events", "duplicates", "duplicate_conflicts", "late", "clamped", "currency_filled")
    assert [today[name] for name in arrived] == [3, 2, 1, 1, 1, 0]
    assert [tomorrow[name] for name in arrived] == [1, 0, 0, 0, 0, 1]
    assert (today["consent_unreadable"], tomorrow["consent_unreadable"]) == (0, 1)
    assert (today["late_share"], tomorrow["late_share"]) == (1 / 3, 0.0)
    # The numbers of the event sent by browser and server change nothing: it is one event.
    assert (today["date"], today["bots"]) == (DAY, 0)


async def test_ids_that_name_nobody_are_counted_and_what_was_imported_stands_apart(
    store: Store, site: str
) -> None:
    await enter_site(store, site)
    told = [
        seen(site, "e1", flags=("identifier_blocked",)),
        seen(site, "e1", flags=("identifier_blocked",), channel="server"),
        seen(site, "e2"),
        *(
            seen(site, event_id, name="identify", channel="server", path=None, flags=flags,
                 late_ms=9 * DAY_MS, user_id="u")
            for event_id, flags in (
                ("h-1", ("imported",)), ("h-2", ("identifier_blocked", "imported")),
            )
        ),
    ]  # fmt: skip
    await process(store, f"log-{site}", records(told))
    (today,) = await quality(store, site)
    assert [today[name] for name in ("events", "late", "identifiers_blocked", "imported")] == [
        2, 0, 2, 2,
    ]  # fmt: skip
    ((accepted,),) = await store.select(
        "SELECT accepted FROM v_consent_daily WHERE site = {site:String}", {"site": site}
    )
    assert accepted == 3, "the server's copy too, and nothing imported"


async def test_orders_are_told_by_their_own_day(store: Store, site: str) -> None:
    await enter_site(store, site)
    told = [
        bought(site, "one", "10"),
        bought(site, "two", "10"),
        bought(site, "two", "10", channel="server"),
        bought(site, "three", "10"),
        bought(site, "three", "11", channel="server", received_on=19_850, late_ms=5 * DAY_MS),
        seen(site, "back", name="refund", order=Order("one", "3")),
        seen(site, "only", name="refund", order=Order("four", "3")),
    ]
    await process(store, f"log-{site}", records(told))
    today = (await quality(store, site))[0]
    assert today["date"] == DAY
    assert (today["orders"], today["unverified"], today["unverified_share"]) == (3, 1, 1 / 3)
    assert today["orders_disagreeing"] == 1


async def test_sessions_of_nobody_known_are_not_stitched(store: Store, site: str) -> None:
    await enter_site(store, site, timezone="Pacific/Auckland")
    told = [
        seen(site, "e1"),
        seen(site, "e2", anonymous_id="b", user_id="u"),
        seen(site, "e3", anonymous_id="c"),
        seen(site, "e4", anonymous_id="d", at_ms=NOON_MS - DAY_MS),
    ]
    await process(store, f"log-{site}", records(told))
    known = {row["date"].day: row for row in await quality(store, site) if row["sessions"]}
    assert {day: row["sessions"] for day, row in known.items()} == {2: 1, 3: 3}
    assert known[3]["unstitched"] == 2
    assert known[3]["stitched_share"] == 1 - 2 / 3


async def test_a_day_on_which_nothing_happened_has_no_share(store: Store, site: str) -> None:
    await enter_site(store, site)
    await process(store, f"log-{site}", records([seen(site, "e1", stripped=True, path=None)]))
    (today,) = await quality(store, site)
    assert (today["unverified_share"], today["late_share"]) == (None, 0.0)
