"""`beleg check`: everything that a start needs, looked at without changing anything."""

from collections.abc import Sequence
from pathlib import Path

from beleg.commands import Say, opened_books, opened_log
from beleg.open_log import check_key, erasure_key, kafka_topic, own_log_id, side_topics
from collector.places import Places
from consent_rules.regions import load_all
from processors.adopt import plan
from processors.logs import log_id_of
from processors.session_rules import waiting
from spine.errors import Misconfigured
from spine.kafka.topic import inspect
from spine.metrics import Metrics
from spine.settings import Settings, SiteSettings


async def check(settings: Settings, say: Say) -> int:
    """Check settings, rules, log and store; give the exit code. Raises: Misconfigured,
    Unavailable."""
    by_day = _check_sites(settings.sites, say)
    data_dir = Path(settings.data_dir)
    if settings.collector.country_file:
        Places(settings.collector.country_file, Metrics("check"))
        say(f"countries: {settings.collector.country_file} can be read")
    if settings.log.url != "embedded":
        await _check_kafka(settings, by_day, say)
    elif not (data_dir / "log.sqlite").exists():
        say(f"data_dir: {data_dir} has no data yet; `beleg run` makes it")
        return 0
    async with opened_books(settings) as store:
        await store.check_version()
        say("store: reachable, tables are of this version")
        for site in await waiting(store, settings.sites):
            say(f"warning: site {site}: sessions are cut by another rule until `beleg rebuild`")
        async with opened_log(settings, appends=True) as log:
            await log.ready()
            await log_id_of(store, log, own_log_id(log))
            if (adoptable := await plan(store, log, own_log_id(log))) is not None:
                raise Misconfigured(
                    "log.url",
                    f"{adoptable.why}: put back the log that belongs to the store, or"
                    " `beleg log adopt`",
                )
            say(f"log: {log.name} takes writes and is the one the store has read")
    return 0


async def _check_kafka(settings: Settings, by_day: Sequence[str], say: Say) -> None:
    check_key(erasure_key(settings), by_day)
    if erasure_key(settings) is None:
        say("warning: erasure.key_file is not set: nobody can be erased")
    for topic in (kafka_topic(settings.log), *side_topics(settings)):
        for risk in await inspect(topic):
            say(f"warning: {risk}")


def _check_sites(sites: dict[str, SiteSettings], say: Say) -> list[str]:
    """Look at the sites; give those whose rules give visitors an id of the day."""
    by_day = []
    say(f"settings: good, {len(sites)} site(s)")
    if not sites:
        say("warning: no sites, so every request is answered 401; add [sites.NAME]")
    for name, site in sites.items():
        regimes = load_all(name, site.consent, site.regions)
        say(f"site {name}: consent rules {site.consent}, version {regimes.own.version}")
        for country, rules in sorted(regimes.by_country.items()):
            say(f"site {name}: visitors from {country}: version {rules.version}")
        if site.browser_keys and not site.origins:
            say(f"warning: site {name} has browser keys but no origins: its pages will get 403")
        by_day += [name] if regimes.uses_salts else []
    return by_day
