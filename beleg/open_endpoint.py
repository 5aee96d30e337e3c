"""The read endpoint that the settings ask for."""

from pathlib import Path
from typing import TYPE_CHECKING

from spine.settings import StoreSettings

if TYPE_CHECKING:
    from reports.endpoint import Endpoint


async def open_endpoint(path: Path, store: StoreSettings, ticket: str) -> "Endpoint":
    """Answer statements about the embedded store; the ticket is one more token. Raises:
    Misconfigured."""
    # Loads chDB's library, 250 MB resident: not for a process that has no store of its own.
    from reports.endpoint import serve  # noqa: PLC0415
    from reports.engine import Limits  # noqa: PLC0415

    limits = Limits(
        max_execution_time_s=round(store.query_timeout_s),
        max_memory_bytes=store.query_memory_bytes,
    )
    tokens = (store.token, ticket) if store.token else ()
    return await serve(path, store.listen, limits, tokens=tokens)
