"""Countries and regions of events and sessions, as views show them."""

from processors.audit import audit
from tests.clickhouse_server import Server
from tests.flow.derived import own_store
from tests.flow.happenings import Happening, records
from tests.flow.passage import enter_site, process

NOON_MS = 1_711_800_000_000


def seen(number: int, place: str) -> Happening:
    told = Happening("shop", "page_view", f"e{number}", NOON_MS + number * 1000, anonymous_id="a")
    return told._replace(place=place)


async def test_a_session_has_the_first_place_that_is_told(clickhouse_server: Server) -> None:
    """Also when that comes last; and an audit of the stored rows finds nothing."""
    async with own_store(clickhouse_server) as store:
        await enter_site(store, "shop")
        await process(store, "log", records([seen(1, ""), seen(7, "FR")]))
        sessions = "SELECT events, country, region FROM v_sessions"
        assert await store.select(sessions) == [(2, "FR", "")]
        await process(store, "log", records([seen(4, "DE-BE")], 2))
        assert await store.select(sessions) == [(3, "DE", "DE-BE")]
        assert await store.select("SELECT country, region FROM v_events ORDER BY occurred_at") == [
            ("", ""),
            ("DE", "DE-BE"),
            ("FR", ""),
        ]
        assert [one async for part in audit(store) for one in part.differences] == []
