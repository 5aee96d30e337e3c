"""`beleg run --demo`: a shop's week through the front door, then its numbers in the terminal."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import click
import msgspec

from beleg.commands import table
from beleg.demo.shop import shop, trickle
from beleg.demo.site import DEMO_SITE
from beleg.demo.traffic import DemoReport, drive
from spine.settings import Secret, Settings, SiteSettings
from spine.store import Store

_VISITORS = 2_000
_RATE_PER_S = 4_000.0
_LIVE_RATE_PER_S = 50.0
_LIVE_VISITORS_PER_MINUTE = 20.0
_LANDED_WITHIN_S = 120.0

_KPI = """
SELECT channel_group, sum(sessions) AS n, sum(visitors), sum(orders), sum(gross), sum(refunded),
    sum(net), sum(new_customers), sum(leads),
    if(n = 0, NULL, toDecimal64(100 * sum(orders) / n, 2)),
    if(sum(orders) = 0, NULL, toDecimal64(sum(gross) / sum(orders), 2)),
    if(n = 0, NULL, toDecimal64(100 * (1 - sum(engaged_sessions) / n), 2))
FROM v_kpi_daily WHERE site = {site:String}
GROUP BY channel_group ORDER BY n DESC, channel_group
"""
_KPI_HEAD = (
    "channel group", "sessions", "visitors", "orders", "gross €", "refunded €", "net €",
    "new customers", "leads", "CVR %", "AOV €", "bounce %",
)  # fmt: skip
_CONSENT = """
SELECT sum(accepted), sum(stripped), sum(dropped), sum(refused) FROM v_consent_daily
WHERE site = {site:String}
"""


def demo_settings(settings: Settings) -> Settings:
    """Give settings for the demo: its own directory and its own site, the same addresses."""
    site = SiteSettings(
        currency=DEMO_SITE.currency,
        timezone=DEMO_SITE.timezone,
        origins=(DEMO_SITE.origin,),
        browser_keys=(DEMO_SITE.browser_key,),
        server_keys=(Secret(DEMO_SITE.server_key),),
    )
    return msgspec.structs.replace(settings, data_dir="./beleg-demo", sites={DEMO_SITE.name: site})


async def show_demo(addresses: Mapping[str, str]) -> None:
    """Drive the shop's last week through the collector, print the KPI table, then go on live."""
    url = f"http://{addresses['collector']}"
    began_at = datetime.now(UTC)
    seed = int(began_at.timestamp())
    hits = await asyncio.to_thread(lambda: list(shop(seed, _VISITORS, began_at)))
    click.echo(f"demo: {_VISITORS:,} visitors of the last days visit the shop …")
    report = await drive(url, hits, rate_per_s=_RATE_PER_S, progress=_progress(len(hits)))
    click.echo(_posted(report))
    if "store" not in addresses:
        click.echo("demo: set store.listen to see the numbers")
    else:
        await _show_numbers(addresses)
    live = trickle(seed + 1, began_at + timedelta(seconds=1), _LIVE_VISITORS_PER_MINUTE)
    await drive(url, live, rate_per_s=_LIVE_RATE_PER_S, progress=lambda _: None)


def _progress(total: int) -> Callable[[DemoReport], None]:
    def show(report: DemoReport) -> None:
        click.echo(f"\rdemo: {report.sent:,} of about {total:,} events posted ", nl=False, err=True)

    return show


def _posted(report: DemoReport) -> str:
    answers = ", ".join(f"{count:,} {status}" for status, count in sorted(report.by_status.items()))
    return (
        f"\ndemo: {report.sent:,} events in {report.requests:,} requests"
        f" in {report.spent_s:.1f} s: {answers}"
    )


async def _show_numbers(addresses: Mapping[str, str]) -> None:
    store = await Store.ask(addresses["store"])
    try:
        await _wait_until_landed(store)
        rows = await store.select(_KPI, {"site": DEMO_SITE.name})
        ((whole, stripped, dropped, refused),) = await store.select(
            _CONSENT, {"site": DEMO_SITE.name}
        )
    finally:
        await store.close()
    click.echo("")
    for line in table([_KPI_HEAD, *rows]):
        click.echo(line)
    click.echo(
        f"\nconsent: {whole:,} events kept, {stripped:,} stripped to the order,"
        f" {dropped:,} dropped, {refused:,} refused"
    )
    click.echo(_HELP.format(**addresses))


async def _wait_until_landed(store: Store) -> None:
    """Return when nothing new has landed between two looks and the collector's tallies are in
    (they come every ten seconds), or after two minutes."""
    until = time.monotonic() + _LANDED_WITHIN_S
    before = -1
    while time.monotonic() < until:
        ((landed, tallied),) = await store.select(
            "SELECT (SELECT count() FROM fates), (SELECT count() FROM tallies)"
        )
        if landed == before and landed > 0 and tallied > 0:
            return
        before = landed
        await asyncio.sleep(2.5)


_HELP = """
The shop goes on: about 20 visitors a minute. Ctrl-C ends it. Ask it yourself:

  curl '{store}' --data 'SELECT * FROM v_kpi_daily ORDER BY date LIMIT 5 FORMAT Vertical'
  curl '{store}' --data 'SELECT * FROM v_orders LIMIT 5 FORMAT PrettyCompact'
  curl {admin}/ledger
  curl {admin}/metrics

  python -c "import clickhouse_connect as c; \\
    client = c.get_client(dsn='clickhouse://{store}/beleg'); \\
    print(client.query_df('SELECT * FROM v_sessions LIMIT 5'))"
"""
