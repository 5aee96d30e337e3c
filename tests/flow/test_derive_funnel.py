"""The funnel against cases worked out by hand."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

import pytest

from processors.site import Site, places
from spine.store import Store
from tests.flow.funnel_model import FUNNEL
from tests.flow.happenings import DAY_MS, HOUR_MS, Happening, Order, records
from tests.flow.passage import enter_site, process

TEN_MS = int(datetime(2024, 5, 2, 10, tzinfo=UTC).timestamp() * 1000)
VIEW, CART, CHECKOUT, PAYMENT, PURCHASE = FUNNEL


def did(site: str, who: str, names: Sequence[str], first_ms: int = TEN_MS) -> list[Happening]:
    """A visit of these events, a second between them."""
    return [
        Happening(site, name, f"{who}-{first_ms}-{nth}", first_ms + nth * 1000, anonymous_id=who)
        for nth, name in enumerate(names)
    ]


async def steps(store: Store, site: str, columns: str = "sessions") -> list[tuple[object, ...]]:
    return await store.select(
        f"SELECT {columns} FROM v_funnel_daily WHERE site = {{site:String}}"
        " ORDER BY date, step_order",
        {"site": site},
    )


@pytest.mark.parametrize(
    ("names", "reached"),
    [
        (["page_view"], 0),
        ([VIEW], 1),
        (FUNNEL, 5),
        # Closed: who skips a step or comes from the middle does not reach what follows.
        ([CART, CHECKOUT], 0),
        ([VIEW, CHECKOUT, PAYMENT], 1),
        # Ordered: a step before its predecessor does not count, done again it does.
        ([CART, VIEW], 1),
        ([CART, VIEW, CHECKOUT, CART, CHECKOUT], 3),
        # What lies between, or happens again, changes nothing.
        ([VIEW, "page_view", VIEW, CART, VIEW, "scroll", CART], 2),
    ],
)
async def test_how_far_a_session_came(
    store: Store, site: str, names: Sequence[str], reached: int
) -> None:
    await enter_site(store, site)
    await process(store, f"log-{site}", records(did(site, "a", names)))
    assert await steps(store, site) == [(int(nth < reached),) for nth in range(5)]


async def test_the_shares_of_a_day(store: Store, site: str) -> None:
    """The proportions of the worked case: a fifth goes on, then a half, two thirds, a half."""
    await enter_site(store, site)
    furthest = [1] * 24 + [2] * 3 + [3] + [4] + [5]
    told = [one for nth, far in enumerate(furthest) for one in did(site, f"a{nth}", FUNNEL[:far])]
    await process(store, f"log-{site}", records([*told, *did(site, "b", ["page_view"])]))
    columns = "date, step, step_order, sessions, share_of_previous, abandonment"
    on = date(2024, 5, 2)
    assert await steps(store, site, columns) == [
        (on, VIEW, 1, 30, None, 1 - 6 / 30),
        (on, CART, 2, 6, 6 / 30, 1 - 3 / 6),
        (on, CHECKOUT, 3, 3, 3 / 6, 1 - 2 / 3),
        (on, PAYMENT, 4, 2, 2 / 3, 1 - 1 / 2),
        (on, PURCHASE, 5, 1, 1 / 2, None),
    ]


async def test_nothing_is_divided_by_nobody(store: Store, site: str) -> None:
    await enter_site(store, site)
    await process(store, f"log-{site}", records(did(site, "a", [VIEW])))
    shares = await steps(store, site, "share_of_previous, abandonment")
    assert shares == [(None, 1.0), (0.0, None), (None, None), (None, None), (None, None)]


async def test_a_person_counts_once_on_all_devices(store: Store, site: str) -> None:
    await enter_site(store, site)
    phone = [one._replace(user_id="u") for one in did(site, "phone", [VIEW, CART])]
    laptop = did(site, "laptop", [VIEW, CART, CHECKOUT], TEN_MS + HOUR_MS)
    laptop = [one._replace(user_id="u") for one in laptop]
    told = [*phone, *laptop, *did(site, "b", [VIEW])]
    await process(store, f"log-{site}", records(told))
    assert await steps(store, site, "sessions, persons") == [(3, 2), (2, 1), (1, 1), (0, 0), (0, 0)]
    shares = await steps(store, site, "person_share_of_previous, person_abandonment")
    assert shares[:3] == [(None, 0.5), (0.5, 0.0), (1.0, 1.0)]


async def test_an_order_that_only_the_server_told_of_is_the_last_step(
    store: Store, site: str
) -> None:
    await enter_site(store, site)
    told = [
        one
        for who, names in (("a", FUNNEL[:4]), ("b", FUNNEL[:3]))
        for one in [
            *did(site, who, names),
            Happening(
                site, PURCHASE, f"p-{who}", TEN_MS + 60_000, "server", who, path=None,
                order=Order(f"t-{who}", "10"),
            ),
        ]
    ]  # fmt: skip
    await process(store, f"log-{site}", records(told))
    assert await steps(store, site) == [(2,), (2,), (2,), (1,), (1,)]


async def test_steps_are_those_of_the_site(store: Store, site: str) -> None:
    await store.command(
        "INSERT INTO sites (site, currency, timezone, funnel_steps, updated_at)"
        f" VALUES ('{site}', 'EUR', 'UTC', ['view_item', 'generate_lead'], 0)"
    )
    told = [*did(site, "a", [VIEW, CART, "generate_lead"]), *did(site, "b", ["generate_lead"])]
    sites = {site: Site(funnel=places([VIEW, "generate_lead"]))}
    await process(store, f"log-{site}", records(told), sites)
    assert await steps(store, site, "step, step_order, sessions") == [
        (VIEW, 1, 1),
        ("generate_lead", 2, 1),
    ]


async def test_a_late_event_fills_a_gap(store: Store, site: str) -> None:
    await enter_site(store, site)
    first, missing, last = did(site, "a", [VIEW, CART, CHECKOUT])
    await process(store, f"log-{site}", records([first, last]))
    assert [row for (row,) in await steps(store, site)] == [1, 0, 0, 0, 0]
    await process(store, f"log-{site}", records([missing], first_offset=9))
    assert [row for (row,) in await steps(store, site)] == [1, 1, 1, 0, 0]


async def test_a_session_over_midnight_counts_on_the_day_it_began(store: Store, site: str) -> None:
    await enter_site(store, site, timezone="UTC")
    midnight_ms = TEN_MS // DAY_MS * DAY_MS + DAY_MS
    await process(store, f"log-{site}", records(did(site, "a", [VIEW, CART], midnight_ms - 1000)))
    assert await steps(store, site, "date, sessions") == [
        (date(2024, 5, 2), nth) for nth in (1, 1, 0, 0, 0)
    ]
