"""Who is let in where not everybody is: a token, compared by digest, in a time that tells nothing.

A listener that only this machine can reach may go without; one that others can reach may not.
"""

import hmac
import ipaddress
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
