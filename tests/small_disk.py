"""A disk of a few megabytes that a test can fill; mounting one needs root."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_FILLER = "filler"


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator["SmallDisk"]:
    """Mount it at `path`, unmounted whatever happens; without root the test is skipped."""
    if os.geteuid() != 0:
        why = "a disk that can be full is mounted by root only"
        if os.environ.get("CI") == "true":
            pytest.fail(why, pytrace=False)
        pytest.skip(why)
    path.mkdir(exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)], check=True
    )
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


class SmallDisk:
    """A mounted disk; `fill` leaves no byte on it, `free` gives everything back."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        with (self.path / _FILLER).open("ab", buffering=0) as file:
            for block in (1 << 20, 1 << 12, 1):
                try:
                    while file.write(bytes(block)):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        (self.path / _FILLER).unlink()
