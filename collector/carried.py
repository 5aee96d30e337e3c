"""What a request carries about consent besides its events: query, cookies, `Sec-GPC`.

Nothing else of query and cookies is looked at, and nothing of them is kept by the collector: the
rules keep what proves a decision (`consent_rules.standing`).
"""

from collections.abc import Mapping, Sequence

from aiohttp import web

from consent_rules.standing import NOTHING, Carried

_MOST_CHARACTERS = 4_096
_NO_QUERY: Mapping[str, str] = {}
_PARAMETERS = {"gdpr": "gdpr", "gdpr_consent": "tcf", "gpp": "gpp", "gcs": "gcs", "gcd": "gcd"}
_COOKIES = {
    "CookieConsent": "cookiebot",
    "OptanonConsent": "onetrust",
    "OptanonAlertBoxClosed": "onetrust_closed",
    "eupubconsent-v2": "tcf_cookie",
    "euconsent-v2": "tcf_cookie",
}


def carried_of(request: web.Request) -> Carried:
    """Give what a request carries."""
    headers, query = request.headers, _NO_QUERY
    if "g" in request.rel_url.raw_query_string:  # as all of the names have
        query = request.query
    return carried(headers.get("Sec-GPC", ""), headers.getall("Cookie", ()), query)


def carried(gpc: str, cookies: Sequence[str], query: Mapping[str, str]) -> Carried:
    """Give what is carried, each part one character longer than its decoder reads at most.

    Shape: of a cookie or parameter that is there twice the first counts, as browsers send the more
    exact one first; OneTrust's TC string goes before that of other tools.
    Source: Sec-GPC, W3C: `1` and nothing else; IAB TCF v2.3 for the parameters of addresses."""
    found = _wanted(query, _PARAMETERS) if query else {}
    if cookies:
        found |= _wanted(_known(";".join(cookies)), _COOKIES)
    return Carried(gpc == "1", **found) if found or gpc == "1" else NOTHING


def _wanted(given: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, part in names.items():
        value = given.get(name)
        if value and part not in found:
            found[part] = value[: _MOST_CHARACTERS + 1]
    return found


def _known(header: str) -> dict[str, str]:
    """Read the cookies that are wanted; their values are what stands there, not decoded."""
    cookies: dict[str, str] = {}
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        if name in _COOKIES:
            cookies.setdefault(name, value.strip('"'))
    return cookies
