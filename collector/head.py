"""The head of a request, read once: all that callers are judged by."""

import msgspec
from multidict import CIMultiDictProxy
from yarl import URL

from collector.body import encoding_of
from collector.carried import carried_of
from collector.decode import Unreadable
from consent_rules.standing import Carried
from spine.client_hints import MOST_CHARACTERS, reduced

_MAX_USER_AGENT = 1000


class Head(msgspec.Struct, frozen=True, gc=False):
    """What stands before the body of a request.

    Shape: `bearer` is the key of its `Authorization`, empty where it has none that is one;
    `comes_again` says whether a sender that is turned away is of the kind that sends again: SDKs
    and servers do, and they send a key in a header; a beacon cannot set headers. `encoding` is how
    the body is sent, or why it is not read. `user_agent` and `client_hints` as a receipt has them.
    """

    headers: CIMultiDictProxy[str]
    url: URL
    bearer: str
    comes_again: bool
    origin: str | None
    encoding: str | Unreadable
    carried: Carried
    user_agent: str
    client_hints: str


def head_of(headers: CIMultiDictProxy[str], url: URL) -> Head:
    """Read a head; `url` has path and query."""
    told = headers.get("Authorization")
    bearer = told[7:].strip() if told and told[:7].lower() == "bearer " else ""
    return Head(
        headers,
        url,
        bearer,
        told is not None,
        headers.get("Origin"),
        encoding_of(headers),
        carried_of(headers, url),
        _readable(headers.get("User-Agent", "")[: 4 * _MAX_USER_AGENT]),
        _hints(headers),
    )


def _hints(headers: CIMultiDictProxy[str]) -> str:
    brands = headers.get("Sec-CH-UA", "")[:MOST_CHARACTERS]  # as what was reduced is remembered
    mobile = headers.get("Sec-CH-UA-Mobile", "")[:MOST_CHARACTERS]
    platform = headers.get("Sec-CH-UA-Platform", "")[:MOST_CHARACTERS]
    return reduced(brands, mobile, platform) if brands or mobile or platform else ""


def _readable(header: str) -> str:
    """Give the text of a header whose bytes may not be UTF-8; what is not becomes U+FFFD."""
    if not header.isascii():  # as nearly none is
        header = header.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return header[:_MAX_USER_AGENT]
