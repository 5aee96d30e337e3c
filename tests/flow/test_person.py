"""A person is found by any identifier: the devices of a user, their events, their orders."""

import pytest

from processors.identity.person import Kind, find
from spine.digest import identifier_id
from spine.store import Store
from tests.flow.happenings import Happening, Order, records
from tests.flow.passage import process

NOON_MS = 1_711_800_000_000


def told(site: str) -> list[Happening]:
    """Two devices of one user, a friend on one of them, a stranger, an order without anybody."""
    rows: list[tuple[str, str | None, str | None, str | None]] = [
        ("page_view", "phone", None, None),
        ("login", "phone", "anna", None),
        ("login", "laptop", "anna", None),
        ("purchase", "laptop", None, "T1"),
        ("page_view", "phone", "ben", None),
        ("login", "tablet", "ben", None),
        ("page_view", "stranger", None, None),
        ("purchase", None, None, "T2"),
        ("purchase", None, "anna", "T3"),
    ]
    return [
        Happening(
            site,
            name,
            f"e{number}",
            NOON_MS + number * 1000,
            anonymous_id=device,
            user_id=user,
            order=Order(order, "10") if order else None,
            stripped=device is None and user is None,
        )
        for number, (name, device, user, order) in enumerate(rows)
    ]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("anonymous_id", "laptop"),
        ("user_id", "anna"),
        ("order", "T1"),
        ("order", "T3"),
    ],
)
async def test_any_identifier_finds_all_of_the_person(
    store: Store, site: str, kind: Kind, value: str
) -> None:
    happenings = told(site)
    await process(store, f"log-{site}", records(happenings))
    anna = await find(store, site, kind, value)
    assert anna.is_known
    assert anna.anonymous_ids == ["laptop"]
    assert anna.user_ids == ["anna"]
    assert anna.subjects == {
        identifier_id(site, "anonymous_id", "laptop"),
        identifier_id(site, "user_id", "anna"),
    }
    # The phone is also Ben's: in her turn it is hers what names nobody, and all that names her.
    hers = [happenings[number] for number in (0, 1, 2, 3, 8)]
    assert [one.identity.hex() for one in anna.events] == [one.identity for one in hers]
    assert [one.offset for one in anna.events] == [0, 1, 2, 3, 8]
    assert set(anna.order_keys) == {
        identifier_id(site, "transaction_id", "T1"),
        identifier_id(site, "transaction_id", "T3"),
    }


async def test_a_device_of_several_persons_is_asked_for_as_a_device(
    store: Store, site: str
) -> None:
    await process(store, f"log-{site}", records(told(site)))
    phone = await find(store, site, "anonymous_id", "phone")
    assert (phone.anonymous_ids, phone.user_ids) == (["phone"], [])
    assert [one.offset for one in phone.events] == [0, 1, 4]


async def test_a_friend_on_somebody_elses_device_is_a_person_of_his_own(
    store: Store, site: str
) -> None:
    await process(store, f"log-{site}", records(told(site)))
    ben = await find(store, site, "user_id", "ben")
    assert (ben.anonymous_ids, ben.user_ids) == (["tablet"], ["ben"])
    assert [one.offset for one in ben.events] == [4, 5]


@pytest.mark.parametrize(
    ("kind", "value"), [("user_id", "nobody"), ("order", "T9"), ("order", "T2")]
)
async def test_who_was_never_seen_is_nobody(
    store: Store, site: str, kind: Kind, value: str
) -> None:
    await process(store, f"log-{site}", records(told(site)))
    assert not (await find(store, site, kind, value)).is_known


async def test_the_same_id_at_another_site_is_somebody_else(store: Store, site: str) -> None:
    await process(store, f"log-{site}", records(told(site)))
    other = f"{site}-b"
    await process(store, f"log-{other}", records(told(other)))
    anna = await find(store, site, "user_id", "anna")
    assert len(anna.events) == 5
