"""Who waits for the same values is told by one call each, and is nobody else's trouble."""

import asyncio
from typing import Any

from spine.errors import Unavailable
from spine.log import Appends, Entry, Settled, tell


class _Later(Appends):
    """Tells what it is told to tell, when it is."""

    def __init__(self) -> None:
        self.waiting: list[Settled] = []

    def put(self, entries: object, settled: Settled) -> None:
        self.waiting.append(settled)

    async def ready(self) -> None: ...

    async def close(self) -> None: ...


_ENTRIES = [Entry(bytes(16), b"value")]


async def test_a_bug_of_one_who_waits_does_not_keep_the_others_from_being_told() -> None:
    bugs: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: bugs.append(context))
    told: list[BaseException | None] = []

    def broken(trouble: BaseException | None) -> None:
        raise ValueError("a bug")

    tell(loop, [told.append, broken, told.append], None)
    assert told == [None, None]
    assert [type(bug["exception"]) for bug in bugs] == [ValueError]


async def test_an_append_ends_as_it_is_told() -> None:
    log = _Later()
    appends = [asyncio.create_task(log.append(_ENTRIES)) for _ in range(3)]
    await asyncio.sleep(0)
    good, bad, gone = log.waiting
    appends[2].cancel()
    await asyncio.sleep(0)
    gone(None)  # nobody hears it
    trouble = Unavailable("away")
    bad(trouble)
    good(None)
    ended = await asyncio.gather(*appends, return_exceptions=True)
    assert ended[:2] == [None, trouble]
    assert isinstance(ended[2], asyncio.CancelledError)
