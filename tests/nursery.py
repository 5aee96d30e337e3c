"""Processes of Beleg without the second that its imports take: forked from one that has them.

What is forked runs a module as `python -m` does, in a process of its own, with its own arguments,
environment, pipes and signals, and ends as any Python process does. What a test says of the start
itself is said of a start from nothing: `test_start.py`, `test_main_job.py`, what runs `under`
something else.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NoReturn

# Not chDB: its threads would be missing in what is forked.
_PRELOADED = ("beleg.__main__", "reports.statement")
_MAX_BYTES = 1 << 18
_lock = threading.Lock()


class Child:
    """A running module; of `subprocess.Popen` what tests use."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        out, err, told = os.pipe(), os.pipe(), os.pipe()
        birth = {
            "module": module,
            "arguments": arguments,
            "env": {**os.environ, **(env or {})},
            "cwd": str(cwd or Path.cwd()),
        }
        with _lock:
            socket.send_fds(_nursery(), [json.dumps(birth).encode()], [out[1], err[1], told[1]])
        for each in (out, err, told):
            os.close(each[1])
        self.stdout: IO[str] = os.fdopen(out[0])
        self.stderr: IO[str] = os.fdopen(err[0])
        self._told = os.fdopen(told[0], "rb", buffering=0)
        self._waiting = threading.Lock()
        self.returncode: int | None = None
        self.pid = int(self._told.read(8))

    def poll(self) -> int | None:
        """Give the exit code as `Popen` does, None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        with self._waiting:
            if self.returncode is None:
                poll = select.poll()
                poll.register(self._told, select.POLLIN)
                if not poll.poll(None if timeout is None else timeout * 1000):
                    raise subprocess.TimeoutExpired("beleg", timeout or 0)
                self.returncode = int(self._told.read(8))
                self._told.close()
            return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Kill it if it still runs, and close what reads from it."""
        self.kill()
        self.wait(30)
        self.stdout.close()
        self.stderr.close()


def run(
    module: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    within_s: float = 120,
) -> "subprocess.CompletedProcess[str]":
    """Run a module to its end, and give what it said."""
    child = Child(module, *arguments, env=env, cwd=cwd)
    said: dict[str, str] = {}
    try:
        reading = threading.Thread(target=lambda: said.update(err=child.stderr.read()))
        reading.start()
        said["out"] = child.stdout.read()
        reading.join()
        child.wait(within_s)
    finally:
        child.close()
    return subprocess.CompletedProcess([module, *arguments], child.wait(), said["out"], said["err"])


@functools.cache
def _nursery() -> socket.socket:
    """The process that forks, one for each process of tests; it ends with its socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MAX_BYTES)
    forking = subprocess.Popen(
        [sys.executable, "-m", "tests.nursery", str(theirs.fileno())],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # numpy's threads would be missing, too
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    theirs.close()
    atexit.register(_end, ours, forking)
    return ours


def _end(asking: socket.socket, forking: "subprocess.Popen[bytes]") -> None:
    asking.close()
    forking.wait(30)


def _serve(asked: socket.socket) -> str:
    """Fork for each message; return, in what was forked only, with the module to run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that nobody has to wait for the watchers
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "threads are not forked"
    while True:
        message, files, _, _ = socket.recv_fds(asked, _MAX_BYTES, 3)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            asked.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return _born(json.loads(message), *files)
        for each in files:
            os.close(each)


def _born(birth: dict[str, Any], out: int, err: int, told: int) -> str:
    """Fork once more: the one watches and tells how the other ended."""
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    child = os.fork()
    if child:
        _watch(child, told)
    os.close(told)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(birth["cwd"])
    sys.path[0] = birth["cwd"]
    os.environ.clear()
    os.environ.update(birth["env"])
    importlib.reload(importlib.import_module("spine.failpoint"))  # it has read the environment
    sys.argv[1:] = birth["arguments"]
    return str(birth["module"])


def _watch(child: int, told: int) -> NoReturn:
    """Tell the number of a process, and its exit code when it has ended."""
    os.closerange(0, 3)
    os.write(told, b"%8d" % child)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.write(told, b"%8d" % code)
    os._exit(0)


def _preload() -> None:
    for module in _PRELOADED:
        importlib.import_module(module)
    del sys.modules["beleg.__main__"]  # which is run, not imported
    gc.freeze()


if __name__ == "__main__":
    _preload()
    module = _serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module(module, run_name="__main__", alter_sys=True)
