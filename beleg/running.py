"""Asking the `beleg run` of this machine to do what only the owner of the store can."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec

from spine.errors import Unavailable
from spine.runtime import held
from spine.settings import Settings

# An erasure, a split or a file of rates takes as long as it takes.
_PATIENCE = aiohttp.ClientTimeout(total=None, sock_connect=30)


class Answer(NamedTuple):
    """What the running process says, by HTTP's status."""

    status: int
    said: Mapping[str, Any]


class Running(NamedTuple):
    """A process that owns the store: its admin listener, and the ticket that it takes."""

    admin: str
    ticket: str

    async def ask(self, path: str, wanted: msgspec.Struct, *expected: int) -> Answer:
        """Post something; give the answer where its status is an expected one. Raises: Unavailable
        with what was said otherwise."""
        url = f"http://{self.admin}{path}"
        headers = {"Authorization": f"Bearer {self.ticket}"}
        try:
            async with (
                aiohttp.ClientSession(headers=headers, timeout=_PATIENCE) as session,
                session.post(url, data=msgspec.json.encode(wanted)) as answer,
            ):
                said = await answer.json()
        except aiohttp.ClientError as error:
            raise Unavailable(
                f"the running process does not answer at {url} ({error}): ask again, which is safe"
            ) from error
        if answer.status not in expected:
            raise Unavailable(said.get("trouble") or said.get("detail") or str(answer.status))
        return Answer(answer.status, said)


def running(settings: Settings) -> Running | None:
    """Give the process that owns an embedded store now, if one does."""
    told = held(Path(settings.data_dir), "run") if settings.log.url == "embedded" else None
    return None if told is None else Running(told["admin"], told["ticket"])
