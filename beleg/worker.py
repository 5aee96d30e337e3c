"""One worker of several, `python -m beleg.worker NUMBER OF`: a collector that its parent started.

Standard input is the channel to the parent (`beleg.channel`).
"""

import asyncio
import contextlib
import socket
import sys

import msgspec

from beleg.channel import MOST_LINE_BYTES, Answer, Question, Ready, Trouble, line
from beleg.house import House
from beleg.seat import Seat
from spine.errors import Misconfigured, Unavailable
from spine.runtime import ask_to_stop, configure_logging, run_to_end
from spine.settings_file import unpacked


async def work(seat: Seat, channel: socket.socket) -> int:
    """Be a collector until the parent, or SIGTERM, says stop, and say how it ended.

    Shape: 0 when everything begun was finished in time, 1 when not, 2 after a word of trouble."""
    parent, to_parent = await asyncio.open_unix_connection(sock=channel, limit=MOST_LINE_BYTES)
    settings = await parent.readline()
    if not settings:
        return 1
    house = House(unpacked(settings), "collect", seat)
    try:
        return await house.live(lambda _: _answer(house, parent, to_parent))
    except Misconfigured as trouble:
        to_parent.write(line(Trouble(trouble.key, trouble.why)))
    except Unavailable as trouble:
        to_parent.write(line(Trouble("", trouble.what)))
    with contextlib.suppress(ConnectionError):
        await to_parent.drain()
        to_parent.close()
        await to_parent.wait_closed()
    return 2


async def _answer(
    house: House, parent: asyncio.StreamReader, to_parent: asyncio.StreamWriter
) -> None:
    """Answer the parent's questions, and stop when it is gone."""
    with contextlib.suppress(ConnectionError):
        to_parent.write(line(Ready()))
        async for text in parent:
            question = msgspec.json.decode(text, type=Question)
            if question.about == "readiness":
                said = await house.admin.why_not_ready()
            else:
                said = (await house.exposition()).decode()
            to_parent.write(line(Answer(question.number, said)))
            await to_parent.drain()
    ask_to_stop()


if __name__ == "__main__":
    number, of = map(int, sys.argv[1:])
    configure_logging(number)
    sys.exit(run_to_end(work(Seat(number, of), socket.socket(fileno=0))))
