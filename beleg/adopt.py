"""`beleg log adopt`: let the store read the log as it is now, after one of the two was replaced."""

from collections.abc import Callable
from importlib.metadata import version

import click

from beleg.commands import Say, opened_log, table
from beleg.open_log import control_log, erasure_key, kafka_topic, own_log_id
from beleg.owned import owned_store
from processors import adopt as adoption
from processors.loop import Processor
from processors.sites import sites_of
from spine.control.followed import followed
from spine.errors import Misconfigured
from spine.kafka.topic import members
from spine.log import Log
from spine.metrics import Metrics
from spine.settings import Settings
from spine.store import Store

Confirm = Callable[[], bool]


async def adopt(settings: Settings, say: Say, confirm: Confirm) -> int:
    """Adopt the log if it is not the one the store reads; give 1 if that was declined, else 0.

    Raises: Misconfigured while something reads the log, Unavailable."""
    async with owned_store(settings) as store:
        await _refuse_readers(settings)
        async with opened_log(settings, appends=True) as log:
            planned = await adoption.plan(store, log, own_log_id(log))
            if planned is None:
                say(f"{log.name} is the log that the store reads: there is nothing to adopt")
                return 0
            await _explain(planned, log, say)
            if not confirm():
                say("nothing was changed")
                return 1
            if planned.pending is not None:
                await _read_pending(settings, store, log, planned)
            log_id = await adoption.adopt(store, log, planned)
    say(f"the store reads {log.name} as log {log_id} now, from its start; start the processors")
    return 0


async def _refuse_readers(settings: Settings) -> None:
    if settings.log.url == "embedded":
        return  # who reads it holds the directory
    count = await members(kafka_topic(settings.log), settings.log.group)
    if count:
        raise Misconfigured(
            "log.group",
            f"{count} processor(s) of group {settings.log.group} read the topic: stop them first;"
            " one that was killed leaves the group after 10 s",
        )


async def _explain(planned: adoption.Plan, log: Log, say: Say) -> None:
    bounds = await log.bounds()
    read = planned.reached
    partitions = sorted(bounds.keys() | read.keys())
    rows = [(each, read.get(each), *bounds.get(each, (None, None))) for each in partitions]
    say(f"{log.name} is not the log that the store has read: {planned.why}")
    say("")
    for line in table([("partition", "read up to", "log starts at", "log ends at"), *rows]):
        say(line)
    say("")
    say(f"read up to now:  log {planned.known.log_id}")
    say(f"adopted:         log {planned.log_id}, read from its start; what has landed counts once")
    if planned.pending is None:
        say("lost:            what stood behind that on the old log and is not on this one;")
        say("                 nobody can know how much that was")
    else:
        count = sum(one.next_offset - one.first_offset for one in planned.pending)
        say(f"before that:     {count:,} records are read that are still pending on the log")


async def _read_pending(settings: Settings, store: Store, log: Log, planned: adoption.Plan) -> None:
    metrics = Metrics(version("beleg"))
    known = planned.known
    sites = sites_of(settings.sites)
    async with followed(control_log(settings), erasure_key(settings)) as control:
        processor = Processor(log, known.log_id, store, sites, control, metrics).bound(
            settings.processors.seen_filter_bytes
        )
        for span in await adoption.pending_now(store, log, known):
            count = span.next_offset - span.first_offset
            click.echo(f"partition {span.partition}: reading {count:,} records", err=True)
            await processor.take_range(span, settings.processors.batch_records)
    await adoption.pending_now(store, log, known)  # books what the log dropped meanwhile
