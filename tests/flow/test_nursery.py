"""A process that is forked from what has its imports is what a start from nothing gives."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.nursery import Child, run

PROGRAM = """
import os, signal, sys, threading
print(sys.path[0])
from spine import failpoint
print(sys.argv[1:], os.environ["BELEG_TOLD"], os.getcwd(), __name__, threading.active_count())
print(signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGCHLD), file=sys.stderr)
if "reach" in sys.argv:
    failpoint.reach("before the answer")
if "raise" in sys.argv:
    raise ValueError("nobody foresaw it")
sys.exit(3)
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "spoken.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    # Tests that run in the background of a shell would hand on that it is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield "spoken"
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("argument", ["end", "raise"])
def test_it_says_and_ends_as_a_process_of_its_own_start(program: str, argument: str) -> None:
    env = {"BELEG_TOLD": "ä", "PYTHONPATH": ":".join([str(Path.cwd()), *sys.path])}
    command = [sys.executable, "-m", program, argument]
    started = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    forked = run(program, argument, env=env)
    assert (forked.returncode, forked.stdout) == (started.returncode, started.stdout)
    assert forked.stderr.splitlines()[-1] == started.stderr.splitlines()[-1]


def test_a_fail_point_of_its_own_environment_kills_it(program: str) -> None:
    env = {"BELEG_TOLD": "", "BELEG_FAILPOINT": "before the answer"}
    assert run(program, "reach", env=env).returncode == -signal.SIGKILL
    assert run(program, "reach", env={"BELEG_TOLD": ""}).returncode == 3


def test_a_signal_ends_it_and_it_says_which() -> None:
    with closing(Child("http.server", "--bind", "127.0.0.1", "0")) as child:
        assert child.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.01)
        child.send_signal(signal.SIGSTOP)
        child.kill()
        assert child.wait(30) == -signal.SIGKILL
        assert child.poll() == -signal.SIGKILL
