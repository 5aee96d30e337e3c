"""Which report gave each field of an order, also after who reported it was erased."""

from processors.audit import audit
from processors.erasure.erasing import Place, erase
from processors.erasure.marked import Erased
from spine.digest import identifier_id
from spine.erasure_key import ErasureKey
from spine.store import Store
from tests.clickhouse_server import Server
from tests.flow.derived import own_store
from tests.flow.happenings import Happening, Order, records
from tests.flow.passage import enter_site, process

NOON_MS = 1_711_800_000_000
KEY = ErasureKey(b"a secret of more than thirty-two characters")


async def fields(store: Store, site: str) -> dict[str, tuple[object, ...]]:
    rows = await store.select(
        "SELECT field, value, channel, name, event_id FROM v_order_provenance"
        " WHERE site = {site:String} AND transaction_id = 't'",
        {"site": site},
    )
    return {row[0]: row[1:] for row in rows}


async def test_each_field_tells_its_report_and_nothing_of_who_was_erased(
    clickhouse_server: Server, site: str
) -> None:
    bought = Happening(site, "purchase", "page", NOON_MS, anonymous_id="anna",
                       order=Order("t", "40", tax="6"))  # fmt: skip
    charged = bought._replace(event_id="till", channel="server", at_ms=NOON_MS + 5_000,
                              anonymous_id=None, path=None, order=Order("t", "39"))  # fmt: skip
    mended = charged._replace(
        name="update_order", event_id="mended", order=Order("t", shipping="4")
    )
    async with own_store(clickhouse_server) as store:
        await enter_site(store, site)
        await process(store, f"log-{site}", records([bought, charged, mended]))
        money = {
            "currency": ("EUR", "server", "purchase", "till"),
            "gross": ("39", "server", "purchase", "till"),
            "shipping": ("4", "server", "update_order", "mended"),
        }
        when = "2024-03-30 12:00:00.000"
        assert await fields(store, site) == {
            **money,
            "ordered_at": (when, "browser", "purchase", "page"),
            "tax": ("6", "browser", "purchase", "page"),
            "visitor": (bought.visitor, "browser", "purchase", "page"),
        }
        anna = {identifier_id(site, "anonymous_id", "anna"): Erased(NOON_MS + 60_000, "")}
        await erase(Place(store, f"log-{site}", KEY, None), anna)
        assert await fields(store, site) == {
            **money,
            "ordered_at": (when, "browser", None, None),
            "tax": ("6", "browser", None, None),
        }
        assert [one async for part in audit(store) for one in part.differences] == []
