"""The wall clock of processes that see another time than the machine's."""

import os
import time
import urllib.request
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.flow.houses import House


def library() -> Path:
    """libfaketime, or this test is skipped; in CI it fails."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        missing = "libfaketime is not installed (Debian: apt-get install libfaketime)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    return libraries[0]


class Clock:
    """The wall clock of processes; their monotonic clock is the machine's."""

    def __init__(self, library: Path, file: Path) -> None:
        self._file = file
        self.env: Mapping[str, str] = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",  # seconds until a change is seen
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self._write(0)

    def put(self, off_s: int, house: House) -> None:
        """Let it show so many seconds more than the machine's, in every process of a house."""
        self._write(off_s)
        until = time.monotonic() + 30
        for role in house.running:
            while abs(_told(house.addresses[f"{role} admin"]) - time.time() - off_s) > 30:
                assert time.monotonic() < until, f"{role} does not see the other time"
                time.sleep(0.1)

    def _write(self, off_s: int) -> None:
        made = self._file.with_suffix(".new")
        made.write_text(f"{off_s:+d}\n")
        made.replace(self._file)


def _told(address: str) -> float:
    """What a process says the time is, seconds since 1970."""
    with urllib.request.urlopen(f"http://{address}/healthz", timeout=30) as answer:
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()
