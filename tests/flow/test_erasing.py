"""Erasing in the store, wherever it is cut and by however many: the same end, and no byte left."""

import asyncio
import base64
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest

from processors.balance import balance
from processors.erasure.erasing import Place, erase
from processors.erasure.marked import Erased, found
from processors.erasure.masking import purge
from processors.identity.person import find
from processors.keys import KINDS, KeySet
from processors.rebuild import rederive
from processors.site_days import site_days
from spine.digest import identifier_id
from spine.erasure_key import ErasureKey
from spine.errors import Unavailable
from spine.log import Bounds
from spine.store import Store
from tests.clickhouse_server import Server
from tests.flow.derived import shown
from tests.flow.happenings import Happening, Order, records
from tests.flow.passage import DyingStore, enter_site, process
from tests.migrated import make_tables

KEY = ErasureKey(b"a secret of more than thirty-two characters")
NOON_MS = 1_711_800_000_000
MARK_MS = NOON_MS + 60_000


@pytest.fixture(scope="module")
def store(clickhouse_server: Server) -> Iterator[Store]:
    """A store of this file's own: a deletion goes through all parts, and the session's has many."""
    database = f"d{uuid4().hex}"
    url = f"clickhouse://{clickhouse_server.host}:{clickhouse_server.port}/{database}"
    opened = asyncio.run(Store.open(url, Path(), makes=True))
    asyncio.run(make_tables(opened, database))
    yield opened
    asyncio.run(opened.close())


class Anna:
    """Somebody with two devices, among others, one of whom has used one of hers after her: what was
    done on it in her turn and names nobody is hers."""

    def __init__(self, site: str) -> None:
        self.site = site
        self.user, self.phone, self.laptop = (f"{site}-{uuid4().hex}" for _ in range(3))

    @property
    def subjects(self) -> Mapping[bytes, Erased]:
        named = (("user_id", self.user), ("anonymous_id", self.laptop))
        return {identifier_id(self.site, *one): Erased(MARK_MS, self.site) for one in named}

    def told(self) -> list[Happening]:
        rows: list[tuple[str, str, str | None, str | None]] = [
            ("page_view", self.phone, None, None),
            ("login", self.phone, self.user, None),
            ("login", self.laptop, self.user, None),
            ("generate_lead", self.phone, None, None),
            ("purchase", self.laptop, None, "T1"),
            ("refund", self.laptop, None, "T1"),
            ("page_view", self.phone, "ben", None),
            ("login", "bens", "ben", None),
            ("page_view", "bens", self.user, None),
            ("page_view", "stranger", None, None),
            ("purchase", "stranger", None, "T2"),
        ]
        return [
            Happening(
                self.site,
                name,
                f"e{number}",
                NOON_MS + number * 1000,
                anonymous_id=device,
                user_id=user,
                path=f"/{device}" if device in (self.phone, self.laptop) else "/",
                order=Order(order, "10" if name == "purchase" else "4") if order else None,
            )
            for number, (name, device, user, order) in enumerate(rows)
        ]

    def hers(self) -> list[int]:
        return [0, 1, 2, 3, 4, 5, 8]

    def forms(self) -> list[bytes]:
        forms: list[bytes] = []
        for digest, name in zip(self.subjects, (self.user, self.laptop), strict=True):
            forms += [name.encode(), quote(name, safe="").encode()]
            forms += [base64.b64encode(name.encode()), digest, digest.hex().encode()]
            forms += [digest.hex().upper().encode(), base64.b64encode(digest)]
        return forms


async def live(store: Store, site: str) -> Anna:
    anna = Anna(site)
    await enter_site(store, site)
    await process(store, f"log-{site}", records(anna.told()))
    return anna


def place(store: Store, site: str) -> Place:
    return Place(store, f"log-{site}", KEY, None)


async def in_tables(store: Store, forms: Sequence[bytes]) -> dict[str, int]:
    tables = await store.select(
        "SELECT name FROM system.tables WHERE database = currentDatabase()"
        " AND (engine LIKE '%MergeTree' OR engine = 'Memory')"
    )
    wanted = ", ".join(f"unhex('{form.hex()}')" for form in forms)
    counts = {}
    for (name,) in tables:
        row = f"multiSearchAny(formatRow('RowBinary', *), [{wanted}])"
        ((count,),) = await store.select(f"SELECT count() FROM {name} WHERE {row}")
        if count:
            counts[name] = count
    return counts


async def nothing_is_left_and_all_holds(store: Store, anna: Anna) -> None:
    assert await in_tables(store, anna.forms()) == {}
    events = await store.select(
        "SELECT event_id FROM v_events WHERE site = {site:String} ORDER BY event_id",
        {"site": anna.site},
    )
    assert [row[0] for row in events] == ["e10", "e6", "e7", "e9"]
    (one,) = await balance(store, f"log-{anna.site}", {0: Bounds(0, 11)})
    assert one.unbalanced is None
    assert {fate: count for fate, count in one.fates.items() if count} == {
        "stored": 4,
        "erased": 7,
    }
    assert not [
        day
        for day in await site_days(store)
        if day.site == anna.site and (day.missing or day.unfated)
    ]
    orders = await store.select(
        "SELECT transaction_id, toString(gross), toString(refunded), isNull(visitor_id),"
        " isNull(session_id) FROM v_orders WHERE site = {site:String} ORDER BY transaction_id",
        {"site": anna.site},
    )
    assert orders == [("T1", "10", "4", 1, 1), ("T2", "10", "0", 0, 0)]
    leads = await store.select(
        "SELECT count() FROM v_conversions WHERE kind = 'lead' AND site = {site:String}",
        {"site": anna.site},
    )
    assert leads == [(0,)]
    before = await shown(store, anna.site)
    keys = {
        *anna.subjects,
        *(identifier_id(anna.site, "anonymous_id", n) for n in ("bens", "stranger", anna.phone)),
    }
    orders_of = {identifier_id(anna.site, "transaction_id", n) for n in ("T1", "T2")}
    for kind in KINDS:
        _ = await rederive(
            store, KeySet(kind, frozenset(orders_of if kind.table == "orders" else keys))
        )
    assert await shown(store, anna.site) == before, "a rebuild changes nothing"


async def test_nothing_of_the_erased_is_left_and_the_others_are_as_they_were(
    store: Store, site: str
) -> None:
    anna = await live(store, site)
    person = await find(store, site, "user_id", anna.user)
    assert person.subjects == set(anna.subjects)
    assert [one.offset for one in person.events] == anna.hers()
    assert await in_tables(store, anna.forms()), "the scan is blind"
    await erase(place(store, site), anna.subjects)
    await nothing_is_left_and_all_holds(store, anna)
    assert not (await find(store, site, "user_id", anna.user)).is_known
    counts = await store.select(
        "SELECT table_name, max(found) FROM erasure_counts WHERE erasure = {site:String}"
        " GROUP BY table_name",
        {"site": site},
    )
    assert {("events", 7), ("order_facts", 2)} <= set(counts)


@pytest.mark.parametrize("calls", [4, 11, 17, 23, 31])
async def test_killed_anywhere_it_is_done_again_to_the_same_end(
    store: Store, site: str, calls: int
) -> None:
    anna = await live(store, site)
    try:
        await erase(place(DyingStore(store, calls), site), anna.subjects)
    except Unavailable:
        await store.command("TRUNCATE TABLE erasing")  # a new process finds it empty
    await erase(place(store, site), anna.subjects)
    await nothing_is_left_and_all_holds(store, anna)
    counts = await store.select(
        "SELECT max(found) FROM erasure_counts WHERE erasure = {site:String}"
        " AND table_name = 'events'",
        {"site": site},
    )
    assert counts == [(7,)]


async def test_two_at_once_end_in_the_same(store: Store, site: str) -> None:
    anna = await live(store, site)
    await asyncio.gather(*(erase(place(store, site), anna.subjects) for _ in range(2)))
    await nothing_is_left_and_all_holds(store, anna)


async def test_what_comes_back_by_an_older_copy_is_found_by_its_mark_and_goes_again(
    store: Store, site: str
) -> None:
    anna = await live(store, site)
    await store.insert(
        "erasure_marks",
        {
            "mark": [KEY.mark(subject) for subject in anna.subjects],
            "erased_until": [MARK_MS] * len(anna.subjects),
            "erasure": [site] * len(anna.subjects),
        },
    )

    async def of_anna() -> Mapping[bytes, Erased]:
        everybody = await found(store, KEY)
        return {subject: one for subject, one in everybody.items() if one.by == site}

    assert await of_anna() == anna.subjects
    await erase(place(store, site), anna.subjects)
    assert await of_anna() == {}
    # As a processor leaves it that judged before the mark and slept: its rows land again.
    await process(store, f"log-{site}", records(anna.told()))
    for table in ("seen",):
        await store.command(
            f"ALTER TABLE {table} DELETE WHERE log_id = 'log-{site}' SETTINGS mutations_sync = 2"
        )
    await process(store, f"log-{site}", records(anna.told()))
    assert await of_anna() == anna.subjects
    await erase(place(store, site), await of_anna())
    await nothing_is_left_and_all_holds(store, anna)


async def test_later_events_of_the_same_device_stay(store: Store, site: str) -> None:
    anna = await live(store, site)
    later = [
        told._replace(event_id=f"late-{number}", at_ms=MARK_MS + 1 + number * 1000)
        for number, told in enumerate(anna.told()[:3])
    ]
    await process(store, f"log-{site}", records(later, first_offset=11))
    await erase(place(store, site), anna.subjects)
    events = await store.select(
        "SELECT event_id FROM v_events WHERE site = {site:String} ORDER BY event_id",
        {"site": site},
    )
    assert [row[0] for row in events] == ["e10", "e6", "e7", "e9", "late-0", "late-1", "late-2"]
    again = await find(store, site, "user_id", anna.user)
    assert again.anonymous_ids == [anna.laptop]
    sessions = await store.select(
        "SELECT sum(events), min(started_at) FROM v_sessions WHERE site = {site:String}"
        " AND visitor_id = {visitor:String}",
        {"site": site, "visitor": identifier_id(site, "anonymous_id", anna.phone).hex()},
    )
    assert int(sessions[0][0]) == 3


async def test_the_bytes_are_gone_from_all_files_but_parts_that_wait_to_be_removed(
    embedded_store: Store, site: str
) -> None:
    """In no file under the store's directory, those of deletions included; what the store has
    replaced it removes itself, after `old_parts_lifetime`."""
    store = embedded_store
    anna = await live(store, site)
    assert store.path is not None
    assert any(_has(path, anna.forms()) for path in _files(store.path)), "the scan is blind"
    await erase(place(store, site), anna.subjects)
    await purge(store)
    rows = await store.select("SELECT path FROM system.parts WHERE NOT active")
    replaced = {Path(path).name for (path,) in rows}
    left = {path for path in _files(store.path) if _has(path, anna.forms())}
    assert {path for path in left if path.parent.name not in replaced} == set()


def _files(place: Path) -> Iterator[Path]:
    for directory, _, names in os.walk(place):  # which does not mind what is removed meanwhile
        yield from (Path(directory, name) for name in names)


def _has(path: Path, forms: Sequence[bytes]) -> bool:
    try:
        content = path.read_bytes()
    except FileNotFoundError:  # removed meanwhile
        return False
    return any(form in content for form in forms)
