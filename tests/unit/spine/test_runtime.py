"""Listening and locking: what is taken already is named by its key."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from spine.errors import Misconfigured
from spine.runtime import (
    ask_to_stop,
    held,
    listen,
    locked,
    reserved,
    serve,
    stop_asked,
    until_stopped,
)


async def test_port_0_is_any_free_port_and_its_number_is_told() -> None:
    listener = await listen(web.Application(), "admin.listen", "127.0.0.1:0")
    try:
        host, port = listener.address.split(":")
        assert host == "127.0.0.1"
        assert int(port) > 0
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"http://{listener.address}/") as answer,
        ):
            assert answer.status == 404
    finally:
        await listener.close()


async def test_a_port_in_use_is_refused_by_its_key() -> None:
    first = await listen(web.Application(), "collector.listen", "127.0.0.1:0")
    try:
        with pytest.raises(Misconfigured) as refused:
            await listen(web.Application(), "admin.listen", first.address)
        assert refused.value.key == "admin.listen"
        assert first.address in refused.value.why
        assert "in use" in refused.value.why
    finally:
        where = first.address
        await first.close()
    again = await listen(web.Application(), "collector.listen", where)
    await again.close()


@pytest.mark.parametrize("where", ["host.invalid:0", "192.0.2.1:0", "x", "127.0.0.1:99999"])
async def test_an_address_that_is_not_ours_is_refused_by_its_key(where: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        await listen(web.Application(), "admin.listen", where)
    assert refused.value.key == "admin.listen"
    assert where in refused.value.why


async def test_a_reserved_port_is_shared_by_who_asks_for_it_and_by_nobody_else() -> None:
    with reserved("collector.listen", "127.0.0.1:0") as where:
        runners = [web.AppRunner(web.Application()) for _ in range(2)]
        shared = [await serve(each, "collector.listen", where, shared=True) for each in runners]
        assert [each.address for each in shared] == [where, where]
        with pytest.raises(Misconfigured, match="in use"):
            await listen(web.Application(), "admin.listen", where)
        with (
            pytest.raises(Misconfigured, match=r"collector.listen: cannot listen on .* in use"),
            reserved("collector.listen", where),
        ):
            pass
        for each in shared:
            await each.close()
        with reserved("collector.listen", where) as again:
            assert again == where


@pytest.mark.parametrize("where", ["host.invalid:0", "192.0.2.1:0", "x"])
def test_an_address_that_is_not_ours_cannot_be_reserved(where: str) -> None:
    with (
        pytest.raises(Misconfigured, match=re.escape(where)),
        reserved("collector.listen", where),
    ):
        pass


def test_one_process_of_a_role_holds_a_directory(tmp_path: Path) -> None:
    hold = (
        "import sys, pathlib; from spine.runtime import locked\n"
        f"with locked(pathlib.Path({str(tmp_path)!r}), 'run') as path:\n"
        "    path.write_text('{\"store\": \"here\"}'); print('held', flush=True); sys.stdin.read()"
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", hold],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(Misconfigured) as refused, locked(tmp_path, "run"):
            pass
        assert refused.value.key == "data_dir"
        assert "another `beleg run` is using" in refused.value.why
        assert held(tmp_path, "run") == {"store": "here"}
        with locked(tmp_path, "collect"):
            pass
        process.kill()
    assert held(tmp_path, "run") is None
    with locked(tmp_path, "run") as path:
        assert path.read_bytes() == b""


def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for place in (file, file / "below"):
        with pytest.raises(Misconfigured) as refused, locked(place, "run"):
            pass
        assert refused.value.key == "data_dir"
        assert str(place) in refused.value.why


def test_a_directory_is_made_and_let_go_of(tmp_path: Path) -> None:
    place = tmp_path / "a" / "b"
    assert held(place, "run") is None
    for _ in range(2):
        with locked(place, "run"):
            assert held(place, "run") == {}
        assert held(place, "run") is None


def test_an_exception_that_a_library_logs_is_a_line_with_its_traceback() -> None:
    program = (
        "import logging; from spine.runtime import configure_logging; configure_logging()\n"
        "try:\n    raise ValueError('torn')\n"
        "except ValueError:\n    logging.getLogger('asyncio').exception('task failed')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    line = json.loads(done.stderr)
    assert line["event"] == "task failed"
    assert "ValueError: torn" in line["exception"]


CRASHING = """
import os, resource, signal
from spine.runtime import fall_at_once
_, most = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
signal.signal(signal.SIGABRT, lambda *_: None)
signal.signal(signal.SIGSEGV, signal.SIG_IGN)
{fall}
secret = "canary-" + "in-memory"
os.kill(os.getpid(), signal.{signal})
"""


@pytest.mark.parametrize("name", ["SIGABRT", "SIGSEGV"])
def test_a_crash_ends_at_once_with_a_trace_and_without_a_copy_of_the_memory(
    tmp_path: Path, name: str
) -> None:
    program = CRASHING.format(fall="fall_at_once()", signal=name)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == -signal.Signals[name]
    assert b"most recent call first" in done.stderr
    assert b"canary-in-memory" not in done.stderr
    assert list(tmp_path.iterdir()) == []


async def test_who_is_asked_to_end_as_soon_as_it_is_ready_ends_in_order() -> None:
    stop = stop_asked()
    ask_to_stop()
    async with asyncio.timeout(30):
        await until_stopped([], stop)
