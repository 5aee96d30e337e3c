"""What a request carries about consent besides its events: query, cookies, `Sec-GPC`.

Nothing else of query and cookies is looked at, and nothing of them is kept by the collector: the
rules keep what proves a decision (`consent_rules.standing`).
"""

from collections.abc import Iterable, Iterator, Sequence

from multidict import CIMultiDictProxy
from yarl import URL

from consent_rules.standing import NOTHING, Carried, carrying

_MOST_CHARACTERS = 4_096
_PARAMETERS = {"gdpr": "gdpr", "gdpr_consent": "tcf", "gpp": "gpp", "gcs": "gcs", "gcd": "gcd"}
_COOKIES = {
    "CookieConsent": "cookiebot",
    "OptanonConsent": "onetrust",
    "OptanonAlertBoxClosed": "onetrust_closed",
    "eupubconsent-v2": "tcf_cookie",
    "euconsent-v2": "tcf_cookie",
}


def carried_of(headers: CIMultiDictProxy[str], url: URL) -> Carried:
    """Give what a request carries."""
    query: Iterable[tuple[str, str]] = ()
    if "g" in url.raw_query_string:  # as all of the names have
        query = url.query.items()
    return carried(headers.get("Sec-GPC", ""), headers.getall("Cookie", ()), query)


def carried(gpc: str, cookies: Sequence[str], query: Iterable[tuple[str, str]]) -> Carried:
    """Give what is carried, each part one character longer than its decoder reads at most.

    Shape: a cookie or parameter that is there several times, as browsers send those of several
    paths and domains, is all of them. Source: Sec-GPC, W3C: `1` and nothing else; IAB TCF v2.3 for
    the parameters of addresses."""
    told: dict[str, list[str]] = {}
    for name, value in query:
        if name in _PARAMETERS:
            told.setdefault(_PARAMETERS[name], []).append(value[: _MOST_CHARACTERS + 1])
    if cookies:
        for name, value in _known(";".join(cookies)):
            told.setdefault(_COOKIES[name], []).append(value[: _MOST_CHARACTERS + 1])
    return carrying(gpc == "1", told) if told or gpc == "1" else NOTHING


def _known(header: str) -> Iterator[tuple[str, str]]:
    """Read the cookies that are wanted; their values are what stands there, not decoded."""
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        if name in _COOKIES:
            yield name, value.strip('"')
