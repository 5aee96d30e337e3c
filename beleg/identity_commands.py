"""`beleg identity`: who is one person, why, and where that is wrong."""

import sys
from collections.abc import Callable

import click

from beleg import identity as identities
from beleg.identity import Named, Split, named
from beleg.probable import probable
from processors.graph import KINDS
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
    beleg identity show  --site shop user_id=customer-7
    beleg identity why   --site shop user_id=customer-7 anonymous_id=device-1
    beleg identity split --site shop user_id=customer-7 email=info@company.example --why "ticket 7"

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


identity.add_command(probable)
