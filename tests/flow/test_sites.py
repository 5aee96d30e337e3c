"""What the settings say about a site is what the views compute with."""

from processors.sites import enter_sites
from spine.settings import SiteSettings
from tests.clickhouse_server import Server
from tests.flow.derived import own_store


async def test_a_changed_setting_counts_even_when_the_stores_clock_was_put_back(
    clickhouse_server: Server,
) -> None:
    async with own_store(clickhouse_server) as store:
        await enter_sites(store, {"shop": SiteSettings(currency="EUR")})
        await store.command(
            "INSERT INTO sites SELECT * REPLACE (updated_at + INTERVAL 2 HOUR AS updated_at)"
            " FROM sites"
        )
        for currency in ("USD", "CHF"):
            await enter_sites(store, {"shop": SiteSettings(currency=currency)})
            assert await store.select("SELECT currency FROM sites FINAL") == [(currency,)]
