"""Processes of Beleg for flow tests: commands that run, and what they say."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.nursery import Child


def forkable(env: Mapping[str, str]) -> bool:
    """Whether an environment says nothing to Python itself, which reads it at its start."""
    return all(name.startswith("BELEG_") for name in env)


class Process:
    """A running `beleg` command; its log lines are read so that its pipe never fills.

    Forked from what has its imports, unless it runs under something, or in an environment that
    Python itself reads, and has to start from nothing."""

    def __init__(
        self,
        config: Path,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        under: tuple[str, ...] = (),
    ) -> None:
        words, env = ("beleg", "--config", str(config), *arguments), env or {}
        self.popen: Child | subprocess.Popen[str]
        if under or not forkable(env):
            command = [*under, sys.executable, "-m", *words]
            env = {**os.environ, **env}
            self.popen = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env)
        else:
            self.popen = Child(*words, env=env)
        self.lines: list[str] = []
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self.lines.append(line)

    def ready(self, within_s: float = 120) -> Mapping[str, Any]:
        """Wait for the line that tells where it listens."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            for line in self.lines:
                if '"event":"ready"' in line:
                    return dict(json.loads(line))
            if self.popen.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"not ready: exit {self.popen.poll()}\n{''.join(self.lines)}")

    def end(self, number: int = signal.SIGTERM, within_s: float = 90) -> int:
        """Send a signal and wait for the exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        code = self.popen.wait(within_s)
        self._reading.join(5)
        for pipe in (self.popen.stdout, self.popen.stderr):
            if pipe is not None:
                pipe.close()
        return code
