"""Asking the process that owns the store: however long it takes."""

import asyncio
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec

from beleg.running import Answer, Running


class Slow(BaseHTTPRequestHandler):
    """Takes two seconds, which is more than five minutes by the clock of `Hurried`."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(2)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Hurried(asyncio.SelectorEventLoop):
    """A loop on which three minutes pass in a second."""

    def time(self) -> float:
        return super().time() * 180


class Nothing(msgspec.Struct):
    """What is asked for."""


async def asked(port: int) -> Answer:
    async def turn() -> None:
        while True:
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    try:
        return await Running(f"127.0.0.1:{port}", "ticket").ask("/erasures", Nothing(), 200)
    finally:
        turning.cancel()


def test_work_that_takes_minutes_is_waited_for() -> None:
    with HTTPServer(("127.0.0.1", 0), Slow) as server:
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        with asyncio.Runner(loop_factory=Hurried) as runner:
            assert runner.run(asked(server.server_port)) == Answer(200, {})
        answering.join()
