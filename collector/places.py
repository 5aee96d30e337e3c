"""`Places`: where an address is, by a database file that the operator provides.

Invariants:

1. The whole address is looked at here and nowhere else: what is remembered is its network, cut as
   everything that is kept, and only where the whole network is in one place.
2. The file is read whole: whoever writes over it cannot harm who has it open. A broken one is
   refused at the start; later it is not taken, the last good one tells on, and the metric
   `country_file_stale` and a log line say so.
3. Where nothing is known the answer is empty, and the strictest rules decide.
"""

import asyncio
import ipaddress
import re
import struct
from pathlib import Path
from typing import Any

import maxminddb
import structlog

from collector.observe import truncated
from spine.errors import Misconfigured
from spine.metrics import Metrics

_EVERY_S = 1.0
_MOST_REMEMBERED = 65_536
_COUNTRY = re.compile(r"[A-Z]{2}")
_REGION = re.compile(r"[A-Z0-9]{1,3}")
_IPV4_BITS, _IPV6_BITS = 24, 48  # as `truncated` cuts
# What the reader of a file that is not what it says may meet.
_BROKEN = (
    maxminddb.InvalidDatabaseError,
    ValueError,
    LookupError,
    TypeError,
    RecursionError,
    struct.error,
)
_PROBES = ("192.0.2.1", "8.8.8.8", "203.0.113.9", "2001:db8::1", "2a00::1")
_logger = structlog.get_logger()

Mark = tuple[int, int, int] | None


class Places:
    """The places of addresses; `for_ever` follows the file. Without a path it knows none."""

    def __init__(self, path: str, metrics: Metrics) -> None:
        """Read the file. Raises: Misconfigured."""
        self._path = Path(path) if path else None
        self._metrics = metrics
        self._by_network: dict[str, str] = {}
        self._seen: Mark = None
        self._read: Mark = None
        self._reader: maxminddb.Reader | None = None
        if self._path is not None:
            metrics.country_file_stale.set(0)
            self._read = _mark(self._path)
            self._reader = _opened(self._path)

    def of(self, address: str) -> str:
        """Give the place of a whole address as a record has it: its country, and its region where
        the file has that; empty when it is not known. Total."""
        if self._reader is None:
            return ""
        network = truncated(address)
        known = self._by_network.get(network)
        if known is not None or not network:
            return known or ""
        place, is_whole = _found(self._reader, address)
        if is_whole:
            if len(self._by_network) >= _MOST_REMEMBERED:
                self._by_network.clear()
            self._by_network[network] = place
        return place

    async def for_ever(self) -> None:
        """Look at the file every second, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Take a file that has changed and has come to rest since."""
        if self._path is None:
            return
        mark = await asyncio.to_thread(_mark, self._path)
        at_rest, self._seen = mark == self._seen, mark
        if not at_rest or mark == self._read:
            return
        self._read = mark
        try:
            self._reader = await asyncio.to_thread(_opened, self._path)
        except Misconfigured as trouble:
            self._metrics.country_file_stale.set(1)
            _logger.error("countries are broken, the last good ones tell", why=f"{trouble}")
            return
        self._by_network = {}
        self._metrics.country_file_stale.set(0)
        _logger.info("countries taken", file=str(self._path))


def _opened(path: Path) -> maxminddb.Reader:
    try:
        with path.open("rb") as file:
            reader = maxminddb.open_database(file, maxminddb.MODE_FD)
        for address in _PROBES if reader.metadata().ip_version == 6 else _PROBES[:3]:
            _place(reader.get(address))
    except (OSError, *_BROKEN) as error:
        raise Misconfigured(
            "collector.country_file", f"{path} is no database of countries: {error}"
        ) from error
    return reader


def _found(reader: maxminddb.Reader, address: str) -> tuple[str, bool]:
    """Give the place, and whether it is that of the whole network that is kept of an address."""
    try:
        parsed = ipaddress.ip_address(address.strip().split("%")[0])
        if isinstance(parsed, ipaddress.IPv6Address):  # as `truncated` does
            parsed = parsed.ipv4_mapped or parsed.sixtofour or parsed
        record, bits = reader.get_with_prefix_len(parsed)
        place = _place(record)
    except _BROKEN:
        return "", False
    return place, bits <= (_IPV4_BITS if parsed.version == 4 else _IPV6_BITS)


def _place(record: Any) -> str:
    """Raises: one of `_BROKEN`."""
    country = _country(record)
    region = _region(record) if country else ""
    return f"{country}-{region}" if region else country


def _region(record: dict[str, Any]) -> str:
    """Read the region's part of ISO 3166-2: of GeoLite2 or GeoIP2 the first of `subdivisions`, or a
    flat one. One without a code is none: its name is another in each language."""
    told, parts = record.get("region_code"), record.get("subdivisions")
    if isinstance(parts, list) and parts and isinstance(parts[0], dict):
        told = parts[0].get("iso_code")
    return told if isinstance(told, str) and _REGION.fullmatch(told) else ""


def _country(record: Any) -> str:
    """Read a record of GeoLite2, GeoIP2 or DB-IP (`country.iso_code`), or one of IPinfo, which is
    flat. Raises: one of `_BROKEN`."""
    if not isinstance(record, dict):
        return ""
    told = record.get("country") or record.get("country_code") or ""
    if isinstance(told, dict):
        told = told.get("iso_code") or ""
    if not isinstance(told, str):
        raise TypeError("a country is no text")
    return told if _COUNTRY.fullmatch(told) else ""


def _mark(path: Path) -> Mark:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
