"""`beleg rebuild`: derive everything again, with progress."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import click

from processors.rebuild import rebuild as rebuilt
from spine.errors import Misconfigured
from spine.runtime import locked
from spine.settings import Settings
from spine.store import Store


async def rebuild(settings: Settings, say: Callable[[str], None]) -> None:
    """Derive everything again. Raises: Misconfigured while `run` runs, Unavailable."""
    data_dir = Path(settings.data_dir)
    with contextlib.ExitStack() as stack:
        if settings.store.url == "embedded":
            if not (data_dir / "store").exists():
                raise Misconfigured("data_dir", f"{data_dir} has no store yet")
            stack.enter_context(locked(data_dir, "run"))
        store = await Store.open(settings.store.url, data_dir)
        try:
            await store.check_version()
            await rebuild_all(store)
        finally:
            await store.close()
    say("derived rows are what their facts say")


async def rebuild_all(store: Store) -> None:
    """Derive everything again with a progress line on standard error."""
    async for step in rebuilt(store):
        click.echo(f"\r{step.done / step.total:4.0%}  {step.table:10}", nl=False, err=True)
    click.echo("\r100%            ", err=True)
