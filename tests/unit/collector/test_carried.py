"""What a request carries about consent is read from its head, bounded, and nothing else of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.carried import carried
from consent_rules.reading import Reading
from consent_rules.standing import NOTHING, Carried, standing


@pytest.mark.parametrize(
    ("gpc", "cookies", "query", "expected"),
    [
        ("", (), {}, NOTHING),
        ("", ("session=1; g=2",), {"key": "bk_g", "a": "1"}, NOTHING),
        ("", (), {"gdpr": "1", "gdpr_consent": "CQ.YA", "gpp": "DB", "gcs": "G1", "gcd": "13"},
         Carried(gdpr="1", tcf="CQ.YA", gpp="DB", gcs="G1", gcd="13")),
        ("1", (), {}, Carried(gpc=True)),
        ("0", (), {}, NOTHING),
        ("true", (), {}, NOTHING),
        ("", ("CookieConsent={stamp:%27x%27%2Cver:1}; a=b",), {},
         Carried(cookiebot="{stamp:%27x%27%2Cver:1}")),
        ("", ("a=b;OptanonConsent=x=1&y=2", "OptanonAlertBoxClosed=2026"), {},
         Carried(onetrust="x=1&y=2", onetrust_closed="2026")),
        ("", ("euconsent-v2=CD; eupubconsent-v2=CO",), {},
         Carried(tcf_cookie="CD", also=(("tcf_cookie", "CO"),))),
        ("", ('CookieConsent="1"; CookieConsent=2; CookieConsent=1',), {},
         Carried(cookiebot="1", also=(("cookiebot", "2"),))),
        ("", ("euconsent-v2=A", "euconsent-v2=B;euconsent-v2=;eupubconsent-v2=C"), {},
         Carried(tcf_cookie="A", also=(("tcf_cookie", "B"), ("tcf_cookie", "C")))),
        ("", ("xCookieConsent=1; CookieConsentx=2; CookieConsent",), {}, NOTHING),
        ("", ("gdpr=1; gdpr_consent=CQ",), {"CookieConsent": "1"}, NOTHING),
    ],
)  # fmt: skip
def test_only_what_is_known_is_read(
    gpc: str, cookies: tuple[str, ...], query: dict[str, str], expected: Carried
) -> None:
    assert carried(gpc, cookies, query.items()) == expected


def test_every_copy_is_read_and_beyond_a_bound_it_is_said_that_there_are_more() -> None:
    query = [("gpp", "A"), ("gcs", "G111"), ("gpp", "B"), ("gpp", "A"), ("gpp", "")]
    found = carried("", (), query)
    assert (found.every("gpp"), found.every("gcs"), found.every("tcf")) == (
        ["A", "B"],
        ["G111"],
        [],
    )
    assert not found.too_many
    cookies = "; ".join(f"CookieConsent={number}" for number in range(5))
    found = carried("", (cookies,), ())
    assert (found.every("cookiebot"), found.too_many) == (["0", "1", "2", "3"], True)


def test_nothing_is_longer_than_what_a_decoder_refuses() -> None:
    found = carried("", ("CookieConsent=" + "{" * 9000,), [("gpp", "D" * 9000)])
    assert (len(found.gpp), len(found.cookiebot)) == (4097, 4097)


@given(st.text(st.characters(codec="latin-1"), max_size=200), st.binary(max_size=60))
def test_whatever_is_in_a_head_there_is_an_answer(cookie: str, raw: bytes) -> None:
    odd = "CookieConsent=" + raw.decode("utf-8", "surrogateescape")
    for text in (cookie, odd, f"OptanonConsent={cookie}"):
        found = carried("", (text,), ())
        assert not standing(b"", found, Reading(), 0).granted
