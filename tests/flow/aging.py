"""A store that has got old: what is over by some day goes."""

from collections.abc import Mapping
from pathlib import Path

from consent_rules.regime import Keeping
from processors.retention.over import over_on
from processors.retention.retain import Gone, retain
from spine.store import Store
from tests.flow.derived import START_MS, happenings, land
from tests.flow.happenings import DAY_MS

KEPT = {
    "usage": Keeping(days=10, orders="accounting", source="law"),
    "audience": Keeping(days=12, orders="accounting", source="law"),
    "proof": Keeping(days=900, source="law"),
}


FIRST_DAY = START_MS // DAY_MS + 3
TODAY = FIRST_DAY + KEPT["usage"].days - 1
"""The day on which FIRST_DAY is the first of usage that is all there; days since 1970."""


async def receive_on(store: Store, site: str, *days: int) -> None:
    """Let something be received on these days."""
    for day in days:
        await store.command(
            "INSERT INTO fates (log_id, log_partition, log_offset, site, received_at, identity,"
            f" fate, code) SELECT 'aging-{site}', 0, {day}, '', toDateTime64(toDate({day}), 3,"
            " 'UTC'), toFixedString('', 16), 'stored', ''"
        )


async def retained(
    store: Store, site: str, today: int, keepings: Mapping[str, Keeping] = KEPT
) -> list[Gone]:
    """Delete what of a site is over on a day; give what went."""
    everything = await over_on(store, {site: keepings}, today)
    return [gone async for gone in retain(store, everything) if gone is not None]


async def fill(url: str, data_dir: str) -> None:
    """Make a store with a shop's days of long ago, of which some are over."""
    store = await Store.open(url, Path(data_dir), makes=True)
    await store.migrate(lambda _: None)
    await land(store, "shop", happenings("shop", seed=6, count=60), size=60)
    await receive_on(store, "shop", TODAY, TODAY + 1, TODAY + 2)
    await store.close()
