"""The canary scan: what must not be kept sings, and is looked for wherever Beleg can write.

Every canary has the root of its `Canaries` in it, so that one search finds any of them in any
spelling; digests, where no root is left, are looked for one by one. A scan that finds nothing
proves nothing by itself: scan for canaries that may be kept, too.
"""

import base64
import hashlib
import os
import re
import secrets
import shutil
import sqlite3
import struct
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from ipaddress import IPv6Address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import lz4.block
import zstandard

from tests.flow.houses import House
from tests.kafka_broker import Broker

_DIGESTS = ("md5", "sha1", "sha256", "sha512", "blake2b")


class Canaries:
    """Values of one kind of people, none of which may be found again.

    All share a random root, that no compression can hide: the first in a block stands there as it
    is. The addresses, of both kinds, are one for all of them."""

    def __init__(self) -> None:
        self.root = secrets.token_hex(8)
        self.address = str(IPv6Address(b"\x20\x01\x0d\xb8" + secrets.token_bytes(12)))
        self.old_address = f"198.18.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}"
        self.values: list[str] = []

    def sing(self, form: str = "{}") -> str:
        """Give a canary that was not there before, in the form of an e-mail or an address."""
        self.values.append(form.format(f"{self.root}{len(self.values):06x}"))
        return self.values[-1]

    def mail(self) -> str:
        return self.sing("Max+{}@Canary.example")


class Finding(NamedTuple):
    """Where a canary was found, and how it is spelled there."""

    where: str
    spelling: str


class Place(NamedTuple):
    """Somewhere Beleg can write: of which kind, its name, what stands there."""

    kind: str
    name: str
    content: bytes


def found_in(somewhere: Iterable[Place], canaries: Canaries) -> list[Finding]:
    """Give what is found in these places."""
    sought = spellings(canaries)
    digests = dict(_digests(canaries.values))
    return [
        Finding(f"{place.kind}: {place.name}", spelling)
        for place in somewhere
        for spelling in sorted(
            {name for name, needle in sought if needle in place.content}
            | {digests[word] for word in _words(place.content) if word in digests}
        )
    ]


def spellings(canaries: Canaries) -> list[tuple[str, bytes]]:
    """Give what every canary has in it, however it is written.

    The root has only letters and digits, which URL-encoding and JSON leave as they are."""
    packed = IPv6Address(canaries.address).packed
    texts = {
        "raw": canaries.root,
        "address": canaries.address,
        "whole address": IPv6Address(canaries.address).exploded,
        "old address": canaries.old_address,
        "cut old address": canaries.old_address.rpartition(".")[0] + ".0",
    }
    for kept in (6, 7, 8):
        texts[f"address cut to {kept} bytes"] = str(IPv6Address(packed[:kept] + bytes(16 - kept)))
    found = {packed: "address, packed", packed.hex().encode(): "address, packed, hex"}
    for what, text in texts.items():
        for name, raw in ((what, text.encode()), (f"{what} in capitals", text.upper().encode())):
            found.setdefault(raw, name)
            found.setdefault(
                "".join(f"%{byte:02x}" for byte in raw).encode(), f"{name}, all encoded"
            )
            found.setdefault(
                "".join(f"%{byte:02X}" for byte in raw).encode(), f"{name}, ALL ENCODED"
            )
            found.setdefault(quote(raw.decode(), safe="").encode(), f"{name}, URL-encoded")
            found.setdefault(raw.hex().encode(), f"{name}, hex")
            found.setdefault(raw.hex().upper().encode(), f"{name}, HEX")
            for each in _in_base64(raw):
                found.setdefault(each, f"{name}, base64")
    return [(name, needle) for needle, name in found.items()]


def _in_base64(raw: bytes) -> Iterator[bytes]:
    """Give what is left of bytes in base64 wherever they begin in what is encoded."""
    for before in range(3):
        first = -(-before * 8 // 6)  # characters that bytes before have a share in
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(bytes(before) + raw)
            yield whole[first : (before + len(raw)) * 8 // 6]


def _digests(values: Sequence[str]) -> Iterator[tuple[bytes, str]]:
    for value in values:
        for how, text in (
            ("", value),
            (" of lower case", value.lower()),
            (" trimmed", value.strip()),
        ):
            for name in _DIGESTS:
                digest = hashlib.new(name, text.encode()).digest()
                yield digest.hex().encode()[:32], f"{name}{how}"
                for encode in (base64.b64encode, base64.urlsafe_b64encode):
                    yield encode(digest)[:20], f"{name}{how}, base64"
        short = hashlib.blake2b(value.encode(), digest_size=16).digest()
        yield short.hex().encode(), "blake2b-16"


_HEX = re.compile(rb"[0-9a-f][0-9a-f]{31,}")  # one of its class first: what is sought quickly
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-][A-Za-z0-9+/_-]{19,}")


def _words(content: bytes) -> set[bytes]:
    """Give what in some bytes can be the beginning of a digest: hex anywhere, base64 of a word."""
    of_hex = (
        run[at : at + 32] for run in _HEX.findall(content.lower()) for at in range(len(run) - 31)
    )
    return {*of_hex, *(run[:20] for run in _BASE64.findall(content))}


def places(house: House, broker: Broker | None = None) -> Iterator[Place]:
    """Give everything that a house has written, or says: files, what is compressed in them, rows,
    log lines, metrics, and what Kafka has of it."""
    for path, content in contents(house.config.parent):
        yield from _of_file("spill" if "spill" in path.parts else "file", path, content)
    if broker is not None:
        yield from _of_kafka(house, broker)
    for role, process in house.running.items():
        yield Place("log lines", role, "".join(process.lines).encode())
        if process.popen.poll() is None:
            for route in ("metrics", "ledger", "readyz"):
                said = _said(f"http://{house.addresses[f'{role} admin']}/{route}")
                yield Place("admin", f"{role} /{route}", said)
    if house.store is not None or any(one.popen.poll() is None for one in house.running.values()):
        yield from _rows(house)


def _of_kafka(house: House, broker: Broker) -> Iterator[Place]:
    yield Place("broker", "broker.log", (broker.directory / "broker.log").read_bytes())
    (topic,) = re.findall(r'^log\.topic = "(.+)"$', house.config.read_text(), re.MULTILINE)
    for path, content in contents(*broker.directory.glob(f"data/{topic}*")):
        yield from _of_file("topic", path, content)


def contents(*roots: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield every file under roots, but those that go meanwhile: merged, or written out."""
    for root in roots:
        for place, _, names in os.walk(root):
            for path in (Path(place, name) for name in names):
                with suppress(FileNotFoundError):
                    yield path, path.read_bytes()


_EMPTY = re.compile(rb"\0\0{63,}")  # most of a file that was made as long as it may become


def _of_file(kind: str, path: Path, content: bytes) -> Iterator[Place]:
    full = _EMPTY.sub(bytes(16), content)
    yield Place(kind, str(path), path.name.encode() + b"\n" + full)
    if path.suffix == ".bin":
        yield Place("part, decompressed", str(path), b"".join(decompressed(content)))
    if content.startswith(b"SQLite format 3\0"):
        yield Place("SQLite rows", str(path), _sqlite(path))


_LZ4, _ZSTD, _PLAIN = 0x82, 0x90, 0x02


def decompressed(column: bytes) -> Iterator[bytes]:
    """Give the blocks of a file that the engine has compressed, also of a part that no table shows.

    Shape: blocks of a checksum of 16 bytes, the method, both sizes, the data; a codec of numbers,
    which no canary is, is left as it is. Source: ClickHouse, CompressedReadBufferBase.cpp."""
    at = 0
    while at + 25 <= len(column):
        method, size, whole = struct.unpack_from("<BII", column, at + 16)
        data = column[at + 25 : at + 16 + size]
        if method == _LZ4:
            yield lz4.block.decompress(data, uncompressed_size=whole)
        elif method == _ZSTD:
            yield zstandard.decompress(data, max_output_size=whole)
        else:
            yield data
        at += 16 + size


def _sqlite(path: Path) -> bytes:
    """Every cell, of a copy: a value may lie in pieces, and a process may hold the lock."""
    with tempfile.TemporaryDirectory() as directory:
        for each in path.parent.glob(f"{path.name}*"):
            if not each.name.endswith("-shm"):
                shutil.copy(each, directory)
        with closing(sqlite3.connect(Path(directory) / path.name)) as copy:
            copy.text_factory = bytes
            tables = copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            rows = [
                row
                for (name,) in tables
                for row in copy.execute(f"SELECT * FROM '{name.decode()}'")
            ]
    cells = (cell for row in rows for cell in row)
    return b"\n".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells)


def _rows(house: House) -> Iterator[Place]:
    """Every row of every table, and what the engine notes of itself, as text."""
    tables = house.ask("SELECT database || '.' || name FROM system.tables WHERE database = 'beleg'")
    if house.store is not None:  # the read endpoint of one machine shows nothing else
        tables += house.ask(
            "SELECT database || '.' || name FROM system.tables WHERE engine LIKE '%MergeTree'"
            " AND database != 'beleg' OR database = 'system' AND name IN ('errors', 'warnings')"
        )
    assert len(tables) > 10
    for (name,) in tables:
        rows = house.ask(f"SELECT toString(tuple(*)) FROM {name}")
        yield Place("table", name, "\n".join(str(row) for (row,) in rows).encode())


def _said(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return bytes(refusal.read())


class Count(NamedTuple):
    """Of one kind of place: how many were looked at, and in how many something was found."""

    kind: str
    looked_at: int
    forbidden: int
    allowed: int


def report(
    somewhere: Sequence[Place], forbidden: Iterable[Finding], allowed: Iterable[Finding]
) -> list[Count]:
    """Count what was found by the kind of place; docs/proof.md shows such counts."""
    looked_at = Counter(place.kind for place in somewhere)
    no, yes = (
        Counter(where.partition(": ")[0] for where in {each.where for each in found})
        for found in (forbidden, allowed)
    )
    return [Count(kind, count, no[kind], yes[kind]) for kind, count in sorted(looked_at.items())]
