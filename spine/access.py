"""Who is let in where not everybody is: a token, compared by digest, in a time that tells nothing.

A listener that only this machine can reach may go without; one that others can reach may not.
"""

import hmac
import ipaddress
from collections.abc import Mapping
from hashlib import sha256

from spine.settings import address, key_digest


def fits(given: str, wanted: str) -> bool:
    """Say whether a token is the one that is wanted, itself or as its `sha256:<hex>`."""
    digest = sha256(given.encode("utf-8", "surrogateescape")).digest()
    return hmac.compare_digest(digest, key_digest(wanted))


def bearer(authorization: str) -> str:
    """Give the token of an Authorization header; empty when there is none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def is_loopback(listen: str) -> bool:
    """Say whether only this machine can reach an address such as `127.0.0.1:8123`."""
    host, _ = address("listen", listen)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_this_machine(host: str) -> bool:
    """Whether a `Host` header, with or without port, names this machine.

    A web page of elsewhere can have its name resolve to 127.0.0.1 and then read what listens
    there; its name still stands in the header."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def is_of_a_page(headers: Mapping[str, str]) -> bool:
    """Whether a browser asks for a page: it could not read the answer, but its question would run.

    Source: Fetch Metadata: browsers say `none` for what a user typed, for a page something else."""
    return "Origin" in headers or headers.get("Sec-Fetch-Site", "none") != "none"
