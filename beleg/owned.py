"""The store for who writes to it outside of a running process."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from spine.errors import Misconfigured
from spine.runtime import locked
from spine.settings import Settings
from spine.store import Store


@contextlib.asynccontextmanager
async def owned_store(settings: Settings) -> AsyncIterator[Store]:
    """Open the store for writing, with its tables of this version; an embedded one, and the
    embedded log, then belong to this process. Raises: Misconfigured while `run` runs,
    Unavailable."""
    data_dir = Path(settings.data_dir)
    with contextlib.ExitStack() as stack:
        if settings.store.url == "embedded":
            if not (data_dir / "store").exists():
                raise Misconfigured("data_dir", f"{data_dir} has no store yet")
            stack.enter_context(locked(data_dir, "run"))
        store = await Store.open(settings.store.url, data_dir, ca_file=settings.store.ca_file)
        try:
            await store.check_version()
            yield store
        finally:
            await store.close()
