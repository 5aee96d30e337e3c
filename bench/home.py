"""One Beleg for a while: a directory, settings in the environment, its processes and commands."""

import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.load import Order, Result
from bench.process import ROOT, Running, environment, started
from spine.runtime import held

BROWSER_KEY = "bk_bench_0123456789"
SERVER_KEY = "sk_bench_0123456789"
_LOAD_S = 3_600
_COMMAND_S = 600
_START_S = 90.0


class Home:
    """A directory with settings; made by `home`."""

    def __init__(self, directory: Path, settings: dict[str, str]) -> None:
        self.directory = directory
        self.settings = {
            "BELEG__DATA_DIR": str(directory / "data"),
            "BELEG__COLLECTOR__LISTEN": "127.0.0.1:0",
            "BELEG__ADMIN__LISTEN": "127.0.0.1:0",
            "BELEG__STORE__LISTEN": "127.0.0.1:0",
            "BELEG__SITES__SHOP__ORIGINS": '["https://shop.example"]',
            "BELEG__SITES__SHOP__BROWSER_KEYS": f'["{BROWSER_KEY}"]',
            "BELEG__SITES__SHOP__SERVER_KEYS": f'["{SERVER_KEY}"]',
            **settings,
        }
        # Of its own, so that no beleg.toml of the working directory is read.
        self._file = directory / "beleg.toml"
        self._file.touch()

    @contextmanager
    def living(self, role: str) -> Iterator[tuple[Running, dict[str, str]]]:
        """Run `beleg ROLE` for a while; with it come the addresses it listens on."""
        module = ("beleg", "--config", str(self._file), role)
        with started(role, module, self.directory, self.settings) as running:
            data_dir = Path(self.settings["BELEG__DATA_DIR"])
            yield running, running.until(lambda: held(data_dir, role) or None, _START_S)

    def command(self, *words: str) -> str:
        """Run a `beleg` command to its end and give what it printed; it must be content."""
        done = subprocess.run(
            [sys.executable, "-m", "beleg", "--config", str(self._file), *words],
            cwd=ROOT,
            env=environment(self.settings),
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(
                f"beleg {words[0]} said {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done.stdout


@contextmanager
def home(**settings: str) -> Iterator[Home]:
    """Give a home whose directory is removed afterwards; settings as `LOG__URL="…"`."""
    with tempfile.TemporaryDirectory(prefix="beleg-bench-") as name:
        yield Home(Path(name), {f"BELEG__{key}": value for key, value in settings.items()})


def landed(admin: str) -> int:
    """Give how many records the ledger of a running process covers."""
    return round(metric(admin, "beleg_ledger_offset"))


def metric(admin: str, name: str) -> float:
    """Give the sum of a metric of a running process over its labels."""
    with urllib.request.urlopen(f"http://{admin}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    values = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
    return sum(float(value) for value in values)


def load(order: Order) -> Result:
    """Post in a process of its own, and wait for its end; every answer must be as it should."""
    done = subprocess.run(
        _load_command(order), cwd=ROOT, capture_output=True, timeout=_LOAD_S, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"the load ended:\n{done.stderr.decode()[-3000:]}")
    return _checked(done.stdout, sheds=order.sheds)


@contextmanager
def loading(order: Order, directory: Path) -> Iterator[Running]:
    """Post meanwhile; `result_of` waits for the end."""
    with started("load", _load_command(order)[2:], directory) as running:
        yield running


def result_of(running: Running) -> Result | None:
    """Give the result of a load that has ended."""
    lines = [line for line in running.lines() if line.startswith("{")]
    return _checked(lines[0].encode(), sheds=False) if lines else None


def _load_command(order: Order) -> list[str]:
    return [sys.executable, "-m", "bench.load", msgspec.json.encode(order).decode()]


def _checked(output: bytes, *, sheds: bool) -> Result:
    result = msgspec.json.decode(output, type=Result)
    if result.wrong.keys() - ({"reset"} if sheds else set()):
        raise RuntimeError(f"of {result.requests} answers some were wrong: {result.wrong}")
    return result
