"""`beleg erase`: erase a person, and look after the receipts."""

import errno
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import click

from beleg.erasure import erase as erasing
from beleg.erasure.erasures import Wanted
from beleg.identity.books import named
from processors.identity.person import Kind
from spine.errors import Misconfigured
from spine.runtime import run_to_end
from spine.settings import Settings

_KINDS = get_args(Kind)


@click.group(invoke_without_command=True)
@click.option("--site", help="The site that knows this person.")
@click.option("--id", "identifier", metavar="KIND=VALUE", help=f"By {', '.join(_KINDS)}.")
@click.option("--why", default="", help="Stands in the receipt: a ticket's number, not a name.")
@click.option("--yes", is_flag=True, help="Erase. Without it only what there is is shown.")
@click.option("--wait/--no-wait", default=True, help="Wait for the receipt and print it.")
@click.pass_context
def erase(
    context: click.Context, /, site: str | None, identifier: str | None, why: str, **how: bool
) -> None:
    """Erase a person, by any identifier that was ever seen.

    \b
    beleg erase --site shop --id user_id=customer-7                       what there is
    beleg erase --site shop --id order=1001 --yes > receipt.json          erase
    beleg erase list
    beleg erase verify receipt.json

    All devices of the user, all their events up to now, in every store; orders keep their amounts.
    Nothing brings them back: no replay, no restored copy, no later backfill. What the same device
    does later is a new person. Prints the receipt when ledger and spills have passed the erasure.
    Works while everything runs. Exit 1 when nobody is known by that identifier.
    """
    if context.invoked_subcommand is not None:
        return
    wanted = _wanted(site, identifier, why)
    settings: Callable[[], Settings] = context.obj
    done = erasing.erase(settings(), wanted, click.echo, for_good=how["yes"], waits=how["wait"])
    sys.exit(run_to_end(done))


def _wanted(site: str | None, identifier: str | None, why: str) -> Wanted:
    if site is None or identifier is None:
        raise click.UsageError("name --site and --id")
    kind, equals, value = identifier.partition("=")
    if (hashed := named(identifier)) is not None:
        kind, value = hashed
    if kind not in _KINDS or not equals or not value:
        raise click.UsageError(f"--id is KIND=VALUE, KIND one of {', '.join(_KINDS)}, email, phone")
    if len(why) > 200 or len(value) > 256:
        raise click.UsageError("--why has at most 200 characters, --id 256")
    return Wanted(site, kind, value, why)  # type: ignore[arg-type]  # looked at above


@erase.command("list")
@click.pass_obj
def list_(settings: Callable[[], Settings]) -> None:
    """Show all erasures, the newest first."""
    run_to_end(erasing.show(settings(), click.echo))


@erase.command()
@click.argument("receipt")
@click.pass_obj
def verify(settings: Callable[[], Settings], receipt: str) -> None:
    """Check a receipt: a file, or the id of an erasure.

    That it was signed with this key and that nothing of it was changed since. Exit 1 if not.
    """
    content = _content(Path(receipt))
    sys.exit(run_to_end(erasing.verify(settings(), receipt, content, click.echo)))


def _content(path: Path) -> bytes | None:
    """Give what a file holds; nothing where there is no such file, so that it may be an id."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
        raise Misconfigured(str(path), f"cannot be read: {error.strerror}") from error
