"""Baseline (a): aiohttp that reads the body and answers 204. Prints its address."""

import asyncio

import uvloop
from aiohttp import web


async def _take(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(status=204)


async def serve(app: web.Application) -> None:
    """Serve on a free port of loopback until killed."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print("{}:{}".format(*runner.addresses[0][:2]), flush=True)
    await asyncio.Event().wait()


async def _main() -> None:
    app = web.Application()
    app.router.add_post("/v1/events", _take)
    await serve(app)


if __name__ == "__main__":
    uvloop.run(_main())
