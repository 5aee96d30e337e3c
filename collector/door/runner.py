"""Running an application on connections within their bounds, within the files there are."""

import resource
from collections.abc import Callable

from aiohttp import web

from collector.door.server import Server

_OF_OTHERS = 512  # 240 of the embedded store and log, twice 64 of listeners, and some in reserve
_LEAST = 16


def within_descriptors(connections: int) -> int:
    """Give how many connections there may be, so that a quarter of the process's files is left for
    others, and as many as log, store and the other listeners may have open; where the system allows
    it the process is given more files first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(connections * 4 // 3 + 1, connections + _OF_OTHERS)
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(connections, soft * 3 // 4, max(_LEAST, soft - _OF_OTHERS))


class Runner(web.AppRunner):
    """Runs an application on connections within bounds."""

    def __init__(
        self,
        app: web.Application,
        made: Callable[[web.Server], Server],
        shutdown_timeout: float,
    ) -> None:
        super().__init__(app, access_log=None, shutdown_timeout=shutdown_timeout)
        self._made = made

    async def _make_server(self) -> web.Server:
        return self._made(await super()._make_server())
