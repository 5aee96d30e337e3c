"""`beleg rebuild`: derive everything again, with progress."""

from collections.abc import Callable

import click

from beleg.owned import owned_store
from processors.rebuild import rebuild as rebuilt
from processors.session_rules import put_in_force
from spine.settings import Settings
from spine.store import Store


async def rebuild(settings: Settings, say: Callable[[str], None]) -> None:
    """Derive everything again, sessions by the rules that are set. Raises: Misconfigured while
    `run` runs, Unavailable."""
    async with owned_store(settings) as store:
        await put_in_force(store, settings.sites)
        await rebuild_all(store)
    say("derived rows are what their facts say")


async def rebuild_all(store: Store) -> None:
    """Derive everything again with a progress line on standard error."""
    async for step in rebuilt(store):
        click.echo(f"\r{step.done / step.total:4.0%}  {step.table:10}", nl=False, err=True)
    click.echo("\r100%            ", err=True)
