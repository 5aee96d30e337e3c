"""What stands before a request on its connection is never taken for a part of another's."""

import asyncio
from pathlib import Path

import pytest

from tests.attacks.wire import BODY, KEY, connect, request
from tests.flow.door import door

BARE = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
BEGUN = b"POST /v1/events HTTP/1.1\r\n" + KEY + b"X-A: "


@pytest.mark.parametrize("met_before", [False, True])
async def test_nobody_chooses_what_the_head_of_another_means(
    tmp_path: Path, met_before: bool
) -> None:
    """One sender has the beginning of a request read, a key in it, then as its rest what another
    sends as the whole of his. His has no key, and still none afterwards."""
    async with door(tmp_path) as front:
        for begun, status in [(b"", 401)] * met_before + [(BEGUN, 202), (b"", 401)]:
            wire = await connect(front.port)
            await wire.send(request() + begun)
            assert (await wire.reply()).status == 202
            await asyncio.sleep(0.05)  # it is idle then, but for what its parser holds
            await wire.send(BARE)
            assert (await wire.reply()).status == status
            wire.close()
