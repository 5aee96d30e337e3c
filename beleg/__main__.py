"""The command line: `beleg`, also `python -m beleg`.

Exit codes: 0 done; 1 the answer is "no"; 2 misconfigured or out of reach, with a sentence that
names the key or the file and the remedy.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import uvloop

from beleg import audit as auditing
from beleg import check as checks
from beleg import commands
from beleg import rebuild as rebuilding
from beleg import replay as replaying
from beleg.house import House
from beleg.run_demo import demo_settings, show_demo
from processors.rejects import Rejects
from spine.codes import CODES
from spine.errors import Misconfigured, Unavailable
from spine.log import Range
from spine.runtime import configure_logging
from spine.settings import Settings, load

T = TypeVar("T")
_DAY = click.DateTime(["%Y-%m-%d"])
_REJECTED = click.Choice([name for name, code in CODES.items() if code.kind == "rejected"])


def main() -> None:
    """Run the command line; every known trouble becomes one sentence and exit code 2."""
    configure_logging()
    try:
        cli(standalone_mode=False)
    except Misconfigured as trouble:
        _end(f"beleg: {trouble}")
    except Unavailable as trouble:
        _end(f"beleg: {trouble.what}")
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.Abort:
        sys.exit(130)


def _end(sentence: str) -> None:
    click.echo(sentence, err=True)
    sys.exit(2)


def _run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="beleg")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Settings file; without it beleg.toml of the working directory, if there is one.",
)
@click.pass_context
def cli(context: click.Context, config: Path | None) -> None:
    """Collect shop events, land each one once, and read the numbers.

    On one machine `beleg run` does it all. For many machines set log.url and store.url, run
    `beleg migrate` once, then any number of `beleg collect` and `beleg process`.

    Settings come from the file, then from environment variables such as
    BELEG__COLLECTOR__LISTEN=127.0.0.1:8080.
    """
    context.obj = lambda: load(config)


@cli.command()
@click.option("--demo", is_flag=True, help="Open a demo shop: its own site, keys and ./beleg-demo.")
@click.pass_obj
def run(settings: Callable[[], Settings], demo: bool) -> None:
    """Run everything on this machine, in one process.

    Collector, embedded log, processors, embedded store and its read endpoint. Makes and migrates
    data_dir by itself; one process per data_dir.

    \b
    Listens on    collector.listen  127.0.0.1:8080  POST /v1/events
                  store.listen      127.0.0.1:8123  ClickHouse's HTTP protocol, read-only
                  admin.listen      127.0.0.1:9090  /healthz /readyz /metrics /ledger /events/ID

    SIGTERM or Ctrl-C drains: no accepted event is lost, the backlog stays on the log.
    """
    chosen = demo_settings(settings()) if demo else settings()
    if chosen.log.url != "embedded":
        raise Misconfigured(
            "log.url", "`beleg run` is for one machine; with Kafka use `collect` and `process`"
        )
    house = House(chosen, "run")
    sys.exit(_run(house.live(show_demo if demo else None)))


@cli.command()
@click.pass_obj
def collect(settings: Callable[[], Settings]) -> None:
    """Run a collector: HTTP in, Kafka out.

    Any number may run, each with its own data_dir. Listens on collector.listen and admin.listen;
    needs log.url = "kafka://…" and, once before, `beleg migrate`.
    """
    sys.exit(_live(settings(), "collect"))


@cli.command()
@click.pass_obj
def process(settings: Callable[[], Settings]) -> None:
    """Run a processor: Kafka in, ClickHouse out.

    Any number may run, each with its own data_dir; they share the partitions. Listens on
    admin.listen; needs log.url and store.url and, once before, `beleg migrate`.
    """
    sys.exit(_live(settings(), "process"))


def _live(settings: Settings, role: str) -> int:
    if settings.log.url == "embedded":
        raise Misconfigured(
            "log.url", f"`beleg {role}` needs kafka://…; on one machine use `beleg run`"
        )
    return _run(House(settings, role).live())


@cli.command()
@click.pass_obj
def migrate(settings: Callable[[], Settings]) -> None:
    """Bring the store to this version: tables, log, sites.

    Makes the Kafka topic where there is none. Ends with a rebuild where an older version derived
    otherwise: processors of that version stop, those of this one may start at once. Safe to
    interrupt and to repeat. `beleg run` does the same by itself; while it runs this exits 2.
    """
    _run(commands.migrate(settings(), click.echo))


@cli.command()
@click.pass_obj
def check(settings: Callable[[], Settings]) -> None:
    """Check settings, consent rules, log and store.

    Changes nothing. Warns about what risks accepted events or shows data to others; exit 2 names
    what would stop a start.
    """
    sys.exit(_run(checks.check(settings(), click.echo)))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@click.pass_obj
def ledger(settings: Callable[[], Settings], as_json: bool) -> None:
    """Prove that every record has exactly one fate.

    \b
    appended = stored + duplicate + rejected + erased + control + lost + pending

    Pending is what is not in the ledger yet. Lost is an alarm: the log dropped it unread. Exit 1
    when a record has no fate or two, or when something was lost.
    """
    sys.exit(_run(commands.ledger(settings(), click.echo, as_json=as_json)))


@cli.command()
@click.argument("event_id")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@click.pass_obj
def trace(settings: Callable[[], Settings], event_id: str, as_json: bool) -> None:
    """Show the whole path of one event.

    Its copies on the log and their fates, the rule that let it stay, its session, order and person.
    Exit 1 when nothing has landed under that id.
    """
    sys.exit(_run(commands.trace(settings(), event_id, click.echo, as_json=as_json)))


@cli.command()
@click.pass_obj
def rebuild(settings: Callable[[], Settings]) -> None:
    """Derive sessions, orders and persons again.

    From all landed facts, by the statements that live deriving uses. Rows that no fact speaks for
    are cleared. Safe while processors run, safe to interrupt and to repeat. An embedded store must
    be let go of first: while `beleg run` runs this exits 2.
    """
    _run(rebuilding.rebuild(settings(), click.echo))


@cli.command()
@click.option("--from", "since", type=_DAY, help="First day, UTC; without it all.")
@click.option("--to", "until", type=_DAY, help="Last day, UTC, included.")
@click.pass_obj
def audit(settings: Callable[[], Settings], since: datetime | None, until: datetime | None) -> None:
    """Prove that derived rows are what their facts say.

    Derives sessions, orders and persons again without writing, and prints each field of a stored
    row that says something else. What differs is looked at again for 14 s before it is told: it may
    just have landed. Works while everything runs. Exit 1 when something differs.
    """
    sys.exit(_run(auditing.audit(settings(), (since, until), click.echo)))


@cli.command()
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
    sys.exit(_run(replaying.replay(settings(), chosen, click.echo, only_tell=dry_run)))


@cli.command()
@click.argument("file", type=click.Path(allow_dash=True, dir_okay=False, path_type=Path))
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="Its address.")
@click.option(
    "--key", required=True, envvar="BELEG_KEY", help="A key of the site; also from BELEG_KEY."
)
def send(file: Path, url: str, key: str) -> None:
    """Post a file of events to a collector.

    FILE has one JSON event a line; "-" reads standard input. A server key may send what is older
    than 7 days. Waits and tries again while the collector cannot take more. Sending a file twice is
    safe when its events have an event_id. Exit 1 when an event was refused.
    """
    sys.exit(_run(commands.send_file(file, url, key)))


if __name__ == "__main__":
    main()
