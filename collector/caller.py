"""Who calls, and from where: what the head of a request says."""

from collections.abc import Sequence

from collector.answer import Headers
from collector.head import Head
from collector.observe import Network, Receipt, client_address, country_of, truncated
from collector.places import Places
from collector.source import Source, Sources

_PREFLIGHT_AGE_S = 7200
_VARY: Headers = (("Vary", "Origin"),)


def source_of(head: Head, sources: Sources) -> Source | None:
    """Give the source whose key a request carries, if it carries a known one."""
    if head.bearer:
        return sources.find(head.bearer)
    source = sources.find(head.url.query.get("key", ""))
    # A secret in a URL stands in logs and histories: a server key is not taken from there.
    return source if source is not None and source.channel == "browser" else None


def cors(head: Head, source: Source) -> Headers | None:
    """Give what a page needs to read the answer, or nothing when it may not even send."""
    origin = head.origin
    if origin is None:  # not a page: an app, a server, a command line
        return _VARY
    if origin.lower() not in source.origins:
        return None
    return (
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Expose-Headers", "Retry-After"),
        *_VARY,
    )


def asked_before(head: Head, sources: Sources) -> dict[str, str]:
    """Give the headers of the answer to a preflight: what a page of the sites may send."""
    origin = head.origin or ""
    key = head.url.query.get("key")
    source = sources.find(key) if key else None
    allowed = origin.lower() in source.origins if source else sources.any_allows(origin)
    if not allowed or (key is not None and source is None):
        return {"Vary": "Origin"}
    return {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "Authorization, Content-Type, Content-Encoding",
        "Access-Control-Max-Age": str(_PREFLIGHT_AGE_S),
    }


def receipt_of(
    head: Head,
    peer: str,
    trusted: Sequence[Network],
    now_ms: int,
    country_header: str = "",
    places: Places | None = None,
) -> Receipt:
    """Give what is observed about a request, reduced to what may be kept; a proxy's word about the
    country goes before what a database has, whose region counts within it.

    Shape: `peer` is who is connected, empty where the socket has no address."""
    address = peer
    if trusted:
        forwarded = ",".join(head.headers.getall("X-Forwarded-For", ()))
        address = client_address(address, forwarded, trusted)
    place = places.of(address) if places is not None else ""
    if country_header:
        told = head.headers.getall(country_header, ())
        country = country_of(peer, told, trusted)
        if country and country != place[:2]:
            place = country
    return Receipt(now_ms, truncated(address), head.user_agent, place, head.client_hints)
