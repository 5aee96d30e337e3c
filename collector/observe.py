"""What the collector observes itself about a request, reduced before anything can keep it."""

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

_MOST_HOPS = 32
_COUNTRY = re.compile(r"(?![Xx]{2})[A-Za-z]{2}")  # XX: as proxies say that they do not know

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Receipt(NamedTuple):
    """What the server saw, as opposed to what the client claims.

    Shape: `ip` is truncated already; `place` as in a record; `client_hints` as
    `spine.client_hints` writes them. Units: milliseconds since 1970."""

    received_ms: int
    ip: str
    user_agent: str
    place: str = ""
    client_hints: str = ""

    @property
    def country(self) -> str:
        """The country of the place by ISO 3166-1; empty when it is not known."""
        return self.place[:2]


@lru_cache(maxsize=8192)
def truncated(ip: str) -> str:
    """Cut an address to its network: IPv4 to 24 bits, IPv6 to 48. Empty when it is no address.

    Source: GDPR Art. 5(1)(c); the usual measure of data protection authorities."""
    try:
        address = ipaddress.ip_address(ip.strip().split("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):  # some carry a whole IPv4 address in front
        address = address.ipv4_mapped or address.sixtofour or address
    bits = 24 if address.version == 4 else 48
    return str(ipaddress.ip_network(f"{address}/{bits}", strict=False).network_address)


def client_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """Give the address of the client: the peer, or behind trusted proxies what they forwarded.

    The list is read from the right, because only what a trusted proxy appended is believed, and no
    further than any chain of proxies goes."""
    address = peer
    hops = forwarded_for.rsplit(",", _MOST_HOPS)[-_MOST_HOPS:] if trusted else ()
    for hop in reversed([hop.strip() for hop in hops if hop.strip()]):
        if not _within(address, trusted):
            break
        address = hop
    return address


def country_of(peer: str, told: Sequence[str], trusted: Sequence[Network]) -> str:
    """Give the country that a trusted proxy says the client is in; empty when nobody knows.

    A header that stands there twice was sent once by the client: neither is believed."""
    if len(told) != 1 or not _within(peer, trusted):
        return ""
    country = told[0].strip()
    return country.upper() if _COUNTRY.fullmatch(country) else ""


def _within(address: str, networks: Sequence[Network]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):  # a listener on [::] sees IPv4 peers mapped
        found = found.ipv4_mapped or found
    return any(found in network for network in networks)
