"""What the host of a referrer says about where a visitor came from (`referrer_hosts.toml`)."""

from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

import msgspec


class Origin(NamedTuple):
    """A source as a referrer alone tells it; '' for no campaign."""

    source: str
    medium: str
    campaign: str


class _Media(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    medium: str
    channel_group: str
    hosts: dict[str, list[str]]
    campaign: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    sources: list[str]
    ignored: list[str]
    media: list[_Media]


_FILE = msgspec.toml.decode(
    resources.files("processors.enrichment").joinpath("referrer_hosts.toml").read_bytes(),
    type=_File,
)
_HOSTS: dict[str, Origin | None] = {
    host: Origin(source, media.medium, media.campaign)
    for media in _FILE.media
    for source, hosts in media.hosts.items()
    for host in hosts
} | dict.fromkeys(_FILE.ignored)
_DEEPEST = 6


@lru_cache(maxsize=4096)
def origin(host: str) -> Origin | None:
    """Return what a referrer of this host means; None where it means no touch.

    Shape: lower case, without a port and without a leading www."""
    for entry in _entries(host):
        if entry in _HOSTS:
            return _HOSTS[entry]
    return Origin(host, "referral", "")


def _entries(host: str) -> Iterator[str]:
    """Yield what the file may call this host, the most particular first."""
    yield host
    yield _any_country(host)
    labels = host.split(".")
    for depth in range(min(len(labels), _DEEPEST), 1, -1):
        parent = ".".join(labels[-depth:])
        yield "." + parent
        yield "." + _any_country(parent)


def _any_country(host: str) -> str:
    rest, _, ending = host.rpartition(".")
    if len(ending) == 2 and rest.endswith((".co", ".com")):
        rest = rest.rpartition(".")[0]
    return rest + ".*"
