"""`beleg identity`: who is one person, why, and where that is wrong."""

import sys
from collections.abc import Callable
from pathlib import Path

import click

from beleg.identity import books as identities
from beleg.identity.books import Named, Split, named
from beleg.identity.importing import Wanted, import_file
from beleg.identity.probable import probable
from processors.identity.graph import KINDS
from spine.runtime import run_to_end
from spine.settings import Settings

_KINDS = (*KINDS, "email", "phone")


def _identifier(_: click.Context, __: click.Parameter, text: str) -> Named:
    found = named(text)
    if found is None:
        raise click.BadParameter(f"write KIND=VALUE, KIND one of {', '.join(_KINDS)}")
    return found


_site = click.option("--site", required=True, help="The site that knows them.")
_one = click.argument("one", metavar="ONE", callback=_identifier)
_other = click.argument("other", metavar="OTHER", callback=_identifier)


@click.group()
def identity() -> None:
    """Who is one person, why, and where that is wrong.

    \b
    beleg identity show   --site shop user_id=customer-7
    beleg identity why    --site shop user_id=customer-7 anonymous_id=device-1
    beleg identity split  --site shop user_id=customer-7 email=info@company.example --why "ticket 7"
    beleg identity import --site shop customers.csv

    An identifier is KIND=VALUE: user_id, crm_id, email_sha256, phone_sha256, anonymous_id, or an
    email or phone as it is, which is hashed before anything is asked. Works while everything runs.
    """


@identity.command()
@_site
@_one
@click.pass_obj
def show(settings: Callable[[], Settings], site: str, one: Named) -> None:
    """Show all identifiers of a person.

    Of a device that several persons used in turn, those of all of them. Exit 1 when there is no
    evidence about it.
    """
    sys.exit(run_to_end(identities.show(settings(), site, one, click.echo)))


@identity.command()
@_site
@_one
@_other
@click.pass_obj
def why(settings: Callable[[], Settings], site: str, one: Named, other: Named) -> None:
    """Say why two identifiers are one person.

    The chain of evidence, each with its event, time and kind of key; or which guard kept them
    apart. Exit 1 when they are not one person.
    """
    sys.exit(run_to_end(identities.show_why(settings(), site, (one, other), click.echo)))


@identity.command()
@_site
@_one
@_other
@click.option("--why", default="", help="Is kept: a ticket's number, not a name.")
@click.option("--undo", is_flag=True, help="Let it count again.")
@click.pass_obj
def split(
    settings: Callable[[], Settings], site: str, one: Named, other: Named, *, why: str, undo: bool
) -> None:
    """Let evidence that names two identifiers together count no more.

    Whenever it lands, also after a rebuild; every number is as if it had never been. Both must
    stand on one event: `why` shows the pairs of a chain. Exit 1 when no event names both.
    """
    if len(why) > 200:
        raise click.UsageError("--why has at most 200 characters")
    asked = Split(site, str(one), str(other), why, undo)
    sys.exit(run_to_end(identities.splitting(settings(), asked, click.echo)))


@identity.command("import")
@_site
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--at", help="When the CRM knew it, for rows that do not say: best, its day of export."
)
@click.option("--dry-run", is_flag=True, help="Say what would happen, append nothing.")
@click.pass_obj
def import_(
    settings: Callable[[], Settings], site: str, file: Path, at: str | None, *, dry_run: bool
) -> None:
    """Take from a file of the CRM who is one person.

    \b
    user_id;crm_id;email;at;consent_analytics
    customer-7;K-4711;jane@shop.example;2026-11-20;true

    FILE is CSV in UTF-8, a row for each customer: at least two of user_id, crm_id, email or
    email_sha256, phone or phone_sha256, anonymous_id; at; and a column consent_PURPOSE for each
    purpose that the rules of the site need, true or false, with consent_at where it is known. What
    is parted by semicolons has one in its head, else commas part it. A time without a zone is the
    site's, a day is its beginning.

    Each row becomes an event `identify`, as if a server had sent it, once: to import a file again
    changes nothing. E-mails and phones are hashed as they are read. What has no consent to connect,
    or names nobody, is left out and counted. Works while everything runs, safe to interrupt and to
    repeat. Exit 2 names line and column of what is wrong, and nothing was imported.
    """
    wanted = Wanted(file, site, at, dry_run)
    sys.exit(run_to_end(import_file(settings(), wanted, click.echo)))


identity.add_command(probable)
