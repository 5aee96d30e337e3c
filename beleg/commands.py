"""What the commands do that are no long-running process.

A command that needs the embedded store asks the running process through its read endpoint, and
opens the directory itself when nothing runs.
"""

import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import click

from beleg.open_log import open_log, own_log_id, side_topics
from beleg.parcel import bounded_lines
from beleg.rebuild import rebuild_all
from beleg.send import Progress, SendOptions, Summary, send
from processors.logs import register
from processors.rebuild import is_due
from processors.session_rules import put_in_force
from processors.sites import enter_sites
from spine.embedded.log import EmbeddedLog
from spine.errors import Misconfigured
from spine.kafka.log import KafkaLog
from spine.kafka.topic import provide
from spine.runtime import held, locked
from spine.settings import Settings
from spine.store import Store

Say = Callable[[str], None]
_MAX_LINE_BYTES = 1_048_576


@contextlib.asynccontextmanager
async def opened_log(
    settings: Settings, *, appends: bool = False
) -> AsyncIterator[EmbeddedLog | KafkaLog]:
    """Open the log, and close it at the end. Raises: Misconfigured, Unavailable."""
    log = await open_log(settings, appends=appends)
    try:
        yield log
    finally:
        await log.close()


@contextlib.asynccontextmanager
async def opened_books(settings: Settings) -> AsyncIterator[Store]:
    """Open the store for questions. Raises: Misconfigured, Unavailable."""
    data_dir = Path(settings.data_dir)
    if settings.store.url != "embedded":
        store = await Store.open(settings.store.url, data_dir, ca_file=settings.store.ca_file)
    elif (running := held(data_dir, "run")) is not None:
        if "store" not in running:
            raise Misconfigured(
                "store.listen", "`beleg run` is running without a read endpoint: set store.listen"
            )
        store = await Store.ask(running["store"], running.get("ticket", ""))
    elif not (data_dir / "store").exists():
        raise Misconfigured("data_dir", f"{data_dir} has no store yet: start `beleg run` first")
    else:
        store = await Store.open("embedded", data_dir)
    try:
        yield store
    finally:
        await store.close()


async def known_site(settings: Settings, store: Store, site: str) -> None:
    """Return where a site is in the settings, or was: who is asked for under a name that nobody
    has would seem to be nobody. Raises: Misconfigured, Unavailable."""
    if site in settings.sites:
        return
    named = {"site": site}
    if not await store.select("SELECT 1 FROM sites WHERE site = {site:String} LIMIT 1", named):
        raise Misconfigured("--site", f'"{site}" is neither in the settings nor in the store')


async def migrate(settings: Settings, say: Say) -> None:
    """Bring tables, log entry and sites up to date. Raises: Misconfigured while `run` runs."""
    data_dir = Path(settings.data_dir)
    with contextlib.ExitStack() as stack:
        if settings.store.url == "embedded":
            stack.enter_context(locked(data_dir, "run"))
        store = await Store.open(
            settings.store.url, data_dir, makes=True, ca_file=settings.store.ca_file
        )
        try:
            await store.migrate(say)
            async with opened_log(settings, appends=True) as log:
                log_id = await register(store, log, own_log_id(log))
                say(f"log {log_id} is {log.name} with {log.partitions} partition(s)")
            if settings.log.url != "embedded":
                for topic in side_topics(settings):
                    await provide(topic)
            due = await is_due(store)
            if due:
                await put_in_force(store, settings.sites)
            await enter_sites(store, settings.sites)
            if due:
                say("derived rows are of an older version; processors may start meanwhile")
                await rebuild_all(store)
        finally:
            await store.close()
    say("the store is up to date")


async def send_file(file: Path, url: str, key: str) -> int:
    """Send a file of events with a progress line; give 0 if nothing was refused, else 1."""
    with _opened(file) as (stream, total):
        summary = await send(
            bounded_lines(stream, _MAX_LINE_BYTES),
            url,
            key,
            options=SendOptions(total_bytes=total),
            progress=_show_progress(),
            warn=lambda sentence: click.echo(f"\nwarning: {sentence}", err=True),
        )
    click.echo("", err=True)
    _print_summary(summary)
    if summary.trouble is not None:
        raise summary.trouble
    return 1 if summary.refused else 0


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[tuple[BinaryIO, int | None]]:
    if str(file) == "-":
        yield sys.stdin.buffer, None
        return
    try:
        with file.open("rb") as stream:
            yield stream, file.stat().st_size
    except OSError as error:
        raise Misconfigured(str(file), f"cannot be read: {error.strerror}") from error


def _show_progress() -> Callable[[Progress], None]:
    shown_at = 0.0

    def show(progress: Progress) -> None:
        nonlocal shown_at
        if time.monotonic() - shown_at < 0.2:
            return
        shown_at = time.monotonic()
        part = ""
        if progress.total_bytes:
            part = f"{progress.read_bytes / progress.total_bytes:4.0%}  "
        click.echo(
            f"\r{part}{progress.lines:,} events, {progress.lines_per_s:,.0f}/s ", nl=False, err=True
        )

    return show


def _print_summary(summary: Summary) -> None:
    click.echo(
        f"{summary.lines:,} lines: {summary.accepted:,} accepted, {summary.refused:,} refused,"
        f" {summary.dropped:,} dropped"
    )
    for code, count in sorted(summary.by_code.items()):
        click.echo(f"  {code}: {count:,}")
    for refusal in summary.refusals:
        click.echo(f"  line {refusal.line}: {refusal.code}: {refusal.detail}")


def table(rows: Sequence[Sequence[Any]]) -> list[str]:
    """Lay rows out in columns; the first row is the head, numbers stand right."""
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in texts) for column in range(len(texts[0]))]
    right = [
        all(not isinstance(row[column], str) or row[column] == "all" for row in rows[1:])
        for column in range(len(widths))
    ]
    lines = [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in texts
    ]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, Decimal):
        return f"{cell:,.2f}"
    return f"{cell:,}" if isinstance(cell, int | float) else str(cell)
