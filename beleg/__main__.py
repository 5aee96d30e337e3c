"""The command line: `beleg`, also `python -m beleg`.

Exit codes: 0 done; 1 the answer is "no"; 2 misconfigured or out of reach, with a sentence that
names the key or the file and the remedy.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import click

from beleg import check as checks
from beleg import commands
from beleg.book_commands import BOOK_COMMANDS
from beleg.demo.run import demo_settings, show_demo
from beleg.erasure.commands import erase
from beleg.house import House
from beleg.identity.commands import identity
from beleg.rates_commands import rates
from beleg.rules_commands import rules
from beleg.workers import Workers
from spine.errors import Misconfigured, Unavailable
from spine.runtime import configure_logging, run_to_end
from spine.settings import Settings
from spine.settings_file import load
from spine.store import without_data_frames


def main() -> None:
    """Run the command line; every known trouble becomes one sentence and exit code 2."""
    configure_logging()
    without_data_frames()
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
    living = house.live(show_demo if demo else None)
    sys.exit(run_to_end(living, beside_threads=True))


@cli.command()
@click.pass_obj
def collect(settings: Callable[[], Settings]) -> None:
    """Run a collector: HTTP in, Kafka out.

    Any number may run, each with its own data_dir. Listens on collector.listen, with
    collector.workers processes, and on admin.listen; needs log.url = "kafka://…" and, once before,
    `beleg migrate`.
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
    if role == "collect" and settings.collector.workers > 1:
        return run_to_end(Workers(settings).live())
    return run_to_end(House(settings, role).live())


@cli.command()
@click.pass_obj
def migrate(settings: Callable[[], Settings]) -> None:
    """Bring the store to this version: tables, log, sites.

    Makes the Kafka topic where there is none. Ends with a rebuild where an older version derived
    otherwise: processors of that version stop, those of this one may start at once. Safe to
    interrupt and to repeat. `beleg run` does the same by itself; while it runs this exits 2.
    """
    run_to_end(commands.migrate(settings(), click.echo))


@cli.command()
@click.pass_obj
def check(settings: Callable[[], Settings]) -> None:
    """Check settings, consent rules, log and store.

    Changes nothing. Warns about what risks accepted events or shows data to others; exit 2 names
    what would stop a start.
    """
    sys.exit(run_to_end(checks.check(settings(), click.echo)))


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
    sys.exit(run_to_end(commands.send_file(file, url, key)))


for command in (*BOOK_COMMANDS, rules, erase, identity, rates):
    cli.add_command(command)


if __name__ == "__main__":
    main()
