"""The commands that ask the books, prove them and mend what is in them."""

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import click

from beleg import adopt as adopting
from beleg import audit as auditing
from beleg import export as exporting
from beleg import ledger as books
from beleg import rebuild as rebuilding
from beleg import replay as replaying
from beleg import retention as keeping
from beleg import trace as tracing
from beleg.identity.books import named
from processors.rejects import Rejects
from spine.codes import CODES
from spine.log import Range
from spine.runtime import run_to_end
from spine.settings import Settings

_DAY = click.DateTime(["%Y-%m-%d"])
_REJECTED = click.Choice([name for name, code in CODES.items() if code.kind == "rejected"])


@click.command()
@click.option("--days", is_flag=True, help="A line for each site and day, not only for each site.")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON, for programs.")
@click.pass_obj
def ledger(settings: Callable[[], Settings], days: bool, as_json: bool) -> None:
    """Prove that every record has exactly one fate.

    \b
    appended = stored + duplicate + rejected + erased + control + lost + pending

    For each partition of the log, and of logs that were replaced; and for each site and day (UTC,
    of receipt) that what was stored is what events are there. Pending is what is not in the ledger
    yet. Lost is an alarm: the log dropped it unread. Exit 1 when a record has no fate or two, when
    stored and events differ, or when something was lost. Reads all fates and events: about half a
    second for each million.
    """
    sys.exit(run_to_end(books.ledger(settings(), click.echo, days=days, as_json=as_json)))


@click.command()
@click.argument("event_id")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@click.pass_obj
def trace(settings: Callable[[], Settings], event_id: str, as_json: bool) -> None:
    """Show the whole path of one event.

    Its copies on the log, when each was appended and its fate, the rule that let it stay, its
    rows, its session, order and person; also unreadable records with that id in them. Exit
    1 when nothing has landed under that id, with the reasons that there may be.
    """
    sys.exit(run_to_end(tracing.trace(settings(), event_id, click.echo, as_json=as_json)))


@click.group()
def log() -> None:
    """Look after the log itself."""


@log.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def adopt(settings: Callable[[], Settings], yes: bool) -> None:
    """Let the store read the log as it is now.

    For when log and store do not belong together any more and processors say so: the topic was
    deleted and made again, its partition count was changed, log.sqlite was replaced or removed, log
    or store were restored from an older copy. If the right one can be put back, rather do that.

    The log gets another id and is read from its start. What has landed before, from whatever log,
    counts once. What stood on the old log unread and is not on this one is lost. The balance of the
    old log stays in `beleg ledger`.

    \b
    1. Stop collectors and processors (or `beleg run`).
    2. Another partition count: set log.partitions.
    3. beleg log adopt     shows what differs, and asks
    4. Start them again.

    Changes nothing when log and store agree. Exit 1 when you say no; exit 2 while a processor reads
    the log.
    """
    sys.exit(run_to_end(adopting.adopt(settings(), click.echo, lambda: yes or _agreed())))


def _agreed() -> bool:
    try:
        return click.confirm("Adopt it?", err=True)
    except click.Abort:
        return False


@click.command()
@click.pass_obj
def rebuild(settings: Callable[[], Settings]) -> None:
    """Derive sessions, orders and persons again.

    From all landed facts, by the statements that live deriving uses. Rows that no fact speaks for
    are cleared. Safe while processors run, safe to interrupt and to repeat. An embedded store must
    be let go of first: while `beleg run` runs this exits 2.
    """
    run_to_end(rebuilding.rebuild(settings(), click.echo))


@click.command()
@click.option("--from", "since", type=_DAY, help="First day, UTC; without it all.")
@click.option("--to", "until", type=_DAY, help="Last day, UTC, included.")
@click.pass_obj
def audit(settings: Callable[[], Settings], since: datetime | None, until: datetime | None) -> None:
    """Prove that derived rows are what their facts say.

    Derives sessions, orders and persons again without writing, and prints each field of a stored
    row that says something else. What differs is looked at again for 14 s before it is told: it may
    just have landed. Works while everything runs. Exit 1 when something differs.
    """
    sys.exit(run_to_end(auditing.audit(settings(), (since, until), click.echo)))


@click.command()
@click.option("--code", type=_REJECTED, help="Only those rejected with this code.")
@click.option("--from", "since", type=_DAY, help="First day they came on the log, UTC.")
@click.option("--to", "until", type=_DAY, help="Last day, UTC, included.")
@click.option(
    "--range",
    "offsets",
    type=(int, int, int),
    metavar="PARTITION FIRST LAST",
    help="Not the rejected ones, but these offsets of the log, both included.",
)
@click.option("--dry-run", is_flag=True, help="Say what would happen, append nothing.")
@click.pass_obj
def replay(
    settings: Callable[[], Settings],
    code: str | None,
    since: datetime | None,
    until: datetime | None,
    offsets: tuple[int, int, int] | None,
    *,
    dry_run: bool,
) -> None:
    """Judge rejected records again, and append what can be read now.

    \b
    beleg replay --dry-run             all of the table rejects
    beleg replay --code unknown_schema --from 2026-11-20
    beleg replay --range 0 1200 1299   what a restored store has lost

    To be run once the cause is mended, with the version that the processors run. Consent is judged
    by the rules as they are now: an event may lose fields or be dropped, none gets back what it had
    lost. What has landed is not appended again, and a copy that is still on its way becomes a
    duplicate: safe to interrupt and to repeat. Works while everything runs. Exit 1 when a record
    still cannot be read, or belongs to a site that is not in the settings.
    """
    chosen: Rejects | Range = Rejects(code, auditing.days_of((since, until)))
    if offsets is not None:
        if (code, since, until) != (None, None, None):
            raise click.UsageError("--range stands alone: --code, --from, --to are for rejects")
        partition, first, last = offsets
        chosen = Range(partition, first, last + 1)
    sys.exit(run_to_end(replaying.replay(settings(), chosen, click.echo, only_tell=dry_run)))


@click.command()
@click.option("--run", "runs", is_flag=True, help="Delete what is over now; it is done every hour.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@click.pass_obj
def retention(settings: Callable[[], Settings], *, runs: bool, as_json: bool) -> None:
    """Show how long what is stored stays.

    For each site and class of its consent rules: the days and their source, the oldest event that
    is there, the rows that are due, and what went in the last run. Processors delete what is over
    every hour by themselves; `--run` does it now, safe to interrupt and to repeat, with an embedded
    store only while `beleg run` does not run (else exit 2).
    """
    run_to_end(keeping.retention(settings(), click.echo, runs=runs, as_json=as_json))


def _identifier(_: click.Context, __: click.Parameter, text: str) -> tuple[str, str]:
    found = named(text)
    if found is None:
        raise click.BadParameter("write KIND=VALUE, as in user_id=customer-7")
    return found


@click.command()
@click.option("--site", required=True, help="The site that the person is known to.")
@click.option(
    "--person",
    "--id",
    "identifier",
    required=True,
    callback=_identifier,
    metavar="KIND=VALUE",
    help="user_id, anonymous_id, crm_id, email, phone, or the hash of these two.",
)
@click.option(
    "-o",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file that is not there yet; without it standard output.",
)
@click.pass_obj
def export(
    settings: Callable[[], Settings], site: str, identifier: tuple[str, str], file: Path | None
) -> None:
    """Give a person what is stored of it (GDPR Art. 15 and 20).

    One JSON object: identifiers, events with what was decided about each, by which rule, until when
    it stays and who may receive it, sessions, orders, conversions, what was said about consent, and
    what was split from it. Of a device that several persons use it is what began in the person's
    turns. What may be another person's is left out. Works while everything runs. Exit 1 when nobody
    is known by that name.
    """
    sys.exit(run_to_end(exporting.export(settings(), site, identifier, file)))


BOOK_COMMANDS: tuple[click.Command, ...] = (
    ledger,
    trace,
    audit,
    rebuild,
    replay,
    export,
    retention,
    log,
)
"""All of them, for the command line."""
