"""The commands for who answers for consent: what the rules do, to whom, and why."""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from collector.decode import Unreadable, decode
from collector.places import Places
from consent_rules import cases as examples
from consent_rules.explain import explain as explained
from consent_rules.explain import in_words
from consent_rules.regime import Rules
from consent_rules.regions import load_all
from consent_rules.rules import PRESETS, load
from consent_rules.standing import TEXTS, carrying
from consent_rules.table import table as as_table
from spine.codes import Refused
from spine.errors import Misconfigured
from spine.event import Event
from spine.metrics import Metrics
from spine.settings import Settings

_MOST_EVENTS = 500


@click.group()
def rules() -> None:
    """Show, try and test the consent rules.

    \b
    beleg rules table                              the rules, as a table for people
    beleg rules explain --rules eu --gpc           what happens to a page view, and why
    beleg rules explain order.json --site shop     the same of an event of yours
    beleg rules test my-cases.toml                 run worked examples of your rules

    RULES are a name (eu, fr_exempt, fr_cookieless, us) or a path such as ./shop.toml, as in
    sites.NAME.consent.
    Nothing here reads or changes what is stored.
    """


@rules.command()
@click.argument("names", metavar="[RULES]...", nargs=-1)
def table(names: tuple[str, ...]) -> None:
    """Print rules as Markdown tables; without RULES those that come with Beleg."""
    tables = [f"## {name}\n\n{as_table(load(name))}" for name in names or PRESETS]
    click.echo("\n".join(tables), nl=False)


@rules.command()
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
def test(file: Path | None) -> None:
    """Run worked examples; without FILE those of the rules that come with Beleg.

    Each example names its rules, an event, what was said about consent, and what must become of it;
    consent_rules/cases.toml shows how. Exit 1 when one comes out otherwise, or when a line of the
    rules that they name has no example.
    """
    cases = examples.read(file)
    regimes = examples.rules_of(cases)
    failures = examples.failures(cases, regimes)
    for failure in failures:
        click.echo(failure)
    click.echo(f"{len(cases.case)} examples of {', '.join(regimes)}: {len(failures)} failures")
    sys.exit(1 if failures else 0)


def _carried(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for everything that a request may carry."""
    helps = {
        "tcf": "TC string, as in ?gdpr_consent=…",
        "gdpr": "GDPR applies: 0 or 1, as in ?gdpr=…",
        "gpp": "GPP string.",
        "gcs": "Google's consent state, such as G111.",
        "gcd": "Google's consent defaults and updates.",
        "cookiebot": "Cookie CookieConsent.",
        "onetrust": "Cookie OptanonConsent.",
        "onetrust_closed": "Cookie OptanonAlertBoxClosed; without it nobody has chosen.",
        "tcf_cookie": "Cookie euconsent-v2 or eupubconsent-v2.",
    }
    for name in reversed(TEXTS):
        option = f"--{name.replace('_', '-')}"
        named = click.option(option, multiple=True, metavar="TEXT", help=helps[name])
        command = named(command)
    return click.option("--gpc", is_flag=True, help="Sec-GPC: 1.")(command)


@rules.command()
@click.argument("file", required=False, type=click.File("rb"))
@click.option("--rules", "name", metavar="RULES", help="These rules; else those of --site, or eu.")
@click.option("--site", help="The rules of this site of the settings.")
@click.option("--country", default="", help="Where the visitor is, for --site: such as FR.")
@click.option("--address", default="", help="Or his address, for collector.country_file.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs; one event a line.")
@_carried
@click.pass_obj
def explain(
    settings: Callable[[], Settings],
    /,
    file: Any,
    name: str | None,
    site: str | None,
    country: str,
    *,
    as_json: bool,
    **carried: Any,
) -> None:
    """Say what happens to an event: by which line, and why.

    FILE has one event, or a batch, as it is posted to /v1/events; "-" reads standard input. Without
    FILE it is a page view with everything in it. What a page sends beside its events is given by
    options, each as often as it is sent; an event's own consent object stands in the event. An
    event without occurred_at happens now.

    \b
    beleg rules explain --country FR --site shop
    beleg rules explain order.json --cookiebot "$COOKIE" --json
    echo '{"name":"login","consent":{"purposes":{"analytics":true}}}' | beleg rules explain -
    """
    if address := carried.pop("address"):
        if site is None or country:
            raise click.UsageError("--address is for --site, in place of --country")
        country = _country_of(settings(), address)
    chosen = _chosen(settings, name, site, country)
    carried_along = carrying(carried.pop("gpc"), carried)
    for number, event in enumerate(_events(file)):
        moment = event.occurred_at or datetime.now(UTC)
        told = explained(chosen, event, carried_along, round(moment.timestamp() * 1000))
        if as_json:
            click.echo(msgspec.json.encode(told).decode())
        else:
            click.echo(("\n" if number else "") + in_words(told), nl=False)


def _chosen(
    settings: Callable[[], Settings], name: str | None, site: str | None, country: str
) -> Rules:
    if site is None:
        if country:
            raise click.UsageError("--country chooses among the rules of --site")
        return load(name or "eu")
    if name is not None:
        raise click.UsageError("--rules and --site are two ways to say the same")
    sites = settings().sites
    if site not in sites:
        raise Misconfigured(f"sites.{site}", "there is no such site in the settings")
    regimes = load_all(site, sites[site].consent, sites[site].regions)
    return regimes.of(country.upper())


def _country_of(settings: Settings, address: str) -> str:
    file = settings.collector.country_file
    if not file:
        raise Misconfigured("collector.country_file", "is not set: nobody knows where that is")
    return Places(file, Metrics("explain")).of(address)[:2]


def _events(file: Any) -> Iterator[Event]:
    if file is None:
        yield examples.sample(examples.read(), "page")
        return
    claims = decode(file.read(), _MOST_EVENTS)
    if isinstance(claims, Unreadable):
        raise click.ClickException(f"{claims.code}: {claims.detail}")
    for event in claims.events:
        if isinstance(event, Refused):
            raise click.ClickException(f"{event.code}: {event.detail} - at {event.path}")
        yield event
