"""The sites as the processors and the store see them."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import structlog

from processors.rulebook import Rulebook
from processors.session_rules import begin_with_rules, waiting
from processors.site import Site, places
from spine.settings import SiteSettings
from spine.store import Store

_logger = structlog.get_logger()


def sites_of(settings: Mapping[str, SiteSettings]) -> Mapping[str, Site]:
    """Give what of each site's settings shapes its rows."""
    return {
        name: Site(
            frozenset(
                {host for origin in site.origins if (host := urlsplit(origin).hostname)}.union(
                    site.ignored_referrers
                )
            ),
            {one: one for one in site.conversion_names} | dict.fromkeys(site.lead_names, "lead"),
            Rulebook(name, site),
            places(site.funnel_steps),
            site.bots == "include",
            site.identity_asks_servers,
        )
        for name, site in settings.items()
    }


async def enter_sites(store: Store, settings: Mapping[str, SiteSettings]) -> None:
    """Tell the views currency, time zone and funnel of each site, and begin new sites with their
    rule of sessions. Raises: Unavailable."""
    await begin_with_rules(store, settings)
    for site in await waiting(store, settings):
        _logger.warning("rule of sessions waits", site=site, remedy="run `beleg rebuild`")
    known = {
        row[0]: row[1:] for row in await store.select("SELECT * EXCEPT updated_at FROM sites FINAL")
    }
    # Above what is there: a clock that was put back must not let an older setting win.
    ((now_ms,),) = await store.select(
        "SELECT greatest(toUnixTimestamp64Milli(now64(3)),"
        " toUnixTimestamp64Milli(max(updated_at)) + 1) FROM sites"
    )
    changed = [
        (name, *shown)
        for name, site in settings.items()
        if known.get(name) != (shown := (site.currency, site.timezone, [*site.funnel_steps]))
    ]
    await store.insert(
        "sites",
        {
            "site": [name for name, _, _, _ in changed],
            "currency": [currency for _, currency, _, _ in changed],
            "timezone": [timezone for _, _, timezone, _ in changed],
            "funnel_steps": [steps for _, _, _, steps in changed],
            "updated_at": [now_ms] * len(changed),
        },
    )
