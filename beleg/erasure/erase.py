"""What `beleg erase` does: by the running process, or alone where nothing runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import click
import msgspec

from beleg.commands import Say, known_site, opened_books, opened_log, table
from beleg.erasure.eraser import eraser_of, place_of
from beleg.erasure.erasures import Erasures, State, Wanted, states, told
from beleg.open_log import control_log, erasure_key, own_log_id
from beleg.owned import owned_store
from beleg.running import Running, running
from processors.erasure.erasing import Place
from processors.erasure.receipt import is_genuine
from processors.identity.person import find
from processors.logs import log_id_of
from processors.loop import Processor
from processors.sites import sites_of
from spine.control.followed import Control, followed
from spine.errors import Misconfigured
from spine.log import Log
from spine.metrics import Metrics
from spine.settings import Settings
from spine.store import Store

Take = Callable[[Wanted], Awaitable[str | None]]
_ASK_EVERY_S = 0.5


async def erase(
    settings: Settings, wanted: Wanted, say: Say, *, for_good: bool, waits: bool
) -> int:
    """Show what there is of a person; `for_good`, erase it. Give 0, or 1 where nobody is known.

    Where the receipt is waited for, it alone goes to the standard output."""
    async with opened_books(settings) as store:
        await store.check_version()
        await known_site(settings, store, wanted.site)
        person = await find(store, wanted.site, wanted.kind, wanted.value)
    aside: Say = partial(click.echo, err=True) if for_good and waits else say
    for line in table([("of this person", "rows"), *told(person)]):
        aside(line)
    if not for_good:
        say("nothing was erased: --yes erases" if person.is_known else "nobody is known by that")
        return 0 if person.is_known else 1
    async with _taking(settings) as (take, store):
        erasure = await take(wanted)
        if erasure is None:
            say("nobody is known by that")
            return 1
        aside(f"erasure {erasure}: marked, and nothing shows it any more")
        if waits:
            say(_pretty((await _closed(store, erasure)).receipt))
    return 0


async def _closed(store: Store, erasure: str) -> State:
    while True:
        found = await states(store, erasure)
        if found and found[0].state == "closed":
            click.echo("", err=True)
            return found[0]
        click.echo("\rwaiting until ledger and spills have passed it ", nl=False, err=True)
        await asyncio.sleep(_ASK_EVERY_S)


@contextlib.asynccontextmanager
async def _taking(settings: Settings) -> AsyncIterator[tuple[Take, Store]]:
    """Give what erases, and the store that tells how far it is."""
    owner = running(settings)
    if owner is not None:
        async with opened_books(settings) as store:
            yield _by(owner), store
        return
    stores = opened_books if settings.log.url != "embedded" else owned_store
    async with (
        stores(settings) as store,
        opened_log(settings, appends=True) as log,
        followed(control_log(settings), erasure_key(settings)) as control,
    ):
        log_id = await log_id_of(store, log, own_log_id(log))
        place = place_of(settings, store, log_id)
        if place is None:
            raise Misconfigured("erasure.key_file", "nobody can be erased without a key: set it")
        await control.current()
        async with contextlib.AsyncExitStack() as stack:
            if settings.log.url == "embedded":
                turn = await stack.enter_async_context(_working(settings, place, log, control))
            else:
                turn = asyncio.Lock()
            yield Erasures(place, log, control, turn).take, store


@contextlib.asynccontextmanager
async def _working(
    settings: Settings, place: Place, log: Log, control: Control
) -> AsyncIterator[asyncio.Lock]:
    """Be the processor, which nobody else is now."""
    metrics = Metrics("")
    processor = Processor(
        log, place.log_id, place.store, sites_of(settings.sites), control, metrics
    )
    eraser = eraser_of(settings, place, log, control, metrics)
    processor.erase_with(eraser)
    erasing = asyncio.create_task(eraser.for_ever(processor.turn))
    processing = asyncio.create_task(processor.run())
    try:
        yield processor.turn
    finally:
        erasing.cancel()
        await processor.finish(processing)
        await asyncio.gather(erasing, processing, return_exceptions=True)


def _by(owner: Running) -> Take:
    async def take(wanted: Wanted) -> str | None:
        answer = await owner.ask("/erasures", wanted, 202, 404)
        return answer.said.get("erasure")

    return take


async def show(settings: Settings, say: Say) -> None:
    """Print all erasures."""
    async with opened_books(settings) as store:
        await store.check_version()
        found = await states(store)
    rows = [(one.erasure, one.site, one.asked_at, one.state) for one in found]
    for line in table([("erasure", "site", "erased until", "state"), *rows]):
        say(line)


async def verify(settings: Settings, named: str, content: bytes | None, say: Say) -> int:
    """Say whether a receipt is genuine; give 0 if it is, else 1."""
    key = erasure_key(settings)
    if key is None:
        raise Misconfigured("erasure.key_file", "receipts were signed with it: set it")
    if content is None:
        async with opened_books(settings) as store:
            found = await states(store, named)
        if not found or found[0].state != "closed":
            say("there is no such file, and no erasure of that id with a receipt")
            return 1
        content = found[0].receipt.encode()
        say(_pretty(found[0].receipt))
    genuine = is_genuine(content, key)
    say("the receipt is genuine" if genuine else "THE RECEIPT IS NOT GENUINE")
    return 0 if genuine else 1


def _pretty(receipt: str) -> str:
    return msgspec.json.format(receipt)
