"""Who calls, and from where: what the head of a request says."""

from collections.abc import Sequence
from functools import lru_cache

from collector.answer import Headers
from collector.countries import Countries
from collector.head import Head
from collector.observe import Network, Receipt, client_address, country_of, truncated
from collector.source import Source, Sources
from spine.client_hints import reduced

_MAX_USER_AGENT = 1000
_PREFLIGHT_AGE_S = 7200
_VARY: Headers = (("Vary", "Origin"),)


def source_of(head: Head, sources: Sources) -> Source | None:
    """Give the source whose key a request carries, if it carries a known one."""
    told = head.headers.get("Authorization", "")
    if told[:7].lower() == "bearer " and (key := told[7:].strip()):
        return sources.find(key)
    source = sources.find(head.url.query.get("key", ""))
    # A secret in a URL stands in logs and histories: a server key is not taken from there.
    return source if source is not None and source.channel == "browser" else None


def cors(head: Head, source: Source) -> Headers | None:
    """Give what a page needs to read the answer, or nothing when it may not even send."""
    origin = head.headers.get("Origin")
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
    origin = head.headers.get("Origin", "")
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
    trusted: Sequence[Network],
    now_ms: int,
    country_header: str = "",
    countries: Countries | None = None,
) -> Receipt:
    """Give what is observed about a request, reduced to what may be kept; a proxy's word about the
    country goes before what a database has."""
    address = head.peer
    if trusted:
        forwarded = ",".join(head.headers.getall("X-Forwarded-For", ()))
        address = client_address(address, forwarded, trusted)
    country = ""
    if country_header:
        told = head.headers.getall(country_header, ())
        country = country_of(head.peer, told, trusted)
    if countries is not None and not country:
        country = countries.of(address)
    agent = _readable(head.headers.get("User-Agent", "")[: 4 * _MAX_USER_AGENT])
    return Receipt(now_ms, truncated(address), agent, country, _hints(head))


def _hints(head: Head) -> str:
    headers = head.headers
    brands = headers.get("Sec-CH-UA", "")
    mobile, platform = headers.get("Sec-CH-UA-Mobile", ""), headers.get("Sec-CH-UA-Platform", "")
    return reduced(brands, mobile, platform) if brands or mobile or platform else ""


@lru_cache(maxsize=4096)
def _readable(header: str) -> str:
    """Give the text of a header whose bytes may not be UTF-8; what is not becomes U+FFFD."""
    return header.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:_MAX_USER_AGENT]
