import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.enrichment.campaign import Touch, touch

PAGE = "https://www.shop.example/schuhe/sneaker"
OWN = frozenset({"shop.example", "https://www.shop.de:8443", "*.shop.at"})


def came(query: str, referrer: str = "") -> Touch:
    found = touch(PAGE + query, referrer, OWN)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("query", "referrer", "source", "medium", "campaign", "group"),
    [
        # utm
        ("?utm_source=Newsletter&utm_medium=EMail&utm_campaign=Herbst+2026", "https://mail.google.com/",
         "newsletter", "email", "Herbst 2026", "Email"),
        ("?utm_source=google&utm_medium=cpc&utm_campaign=de-shopping", "https://www.google.de/",
         "google", "cpc", "de-shopping", "Paid Shopping"),
        ("?utm_source=fb&utm_medium=paid_social&utm_id=1202", "https://l.facebook.com/",
         "fb", "paid_social", "1202", "Paid Social"),
        ("?utm_id=7&utm_campaign=x&utm_source=a&utm_medium=b", "", "a", "b", "x", "Unassigned"),
        ("?utm_source=a&utm_source=b&utm_medium=email", "", "a", "email", "", "Email"),
        ("?utm_source=&utm_source=b&utm_medium=email", "", "b", "email", "", "Email"),
        ("?UTM_Source=x&%75tm_medium=sms", "", "x", "sms", "", "SMS"),
        ("?utm_source=x&amp;utm_medium=affiliate", "", "x", "affiliate", "", "Affiliates"),
        ("?utm_source=caf%C3%A9%2520x&utm_medium=audio", "", "café%20x", "audio", "", "Audio"),
        ("#utm_source=x&utm_medium=email", "", "x", "email", "", "Email"),
        ("?size=42#/start?utm_source=x&utm_medium=email", "", "x", "email", "", "Email"),
        # half a tag
        ("?utm_source=partner", "https://www.google.de/", "partner", "(not set)", "", "Unassigned"),
        ("?utm_medium=email", "https://www.google.de/", "(not set)", "email", "", "Email"),
        ("?utm_campaign=x", "", "(not set)", "(not set)", "x", "Unassigned"),
        ("?utm_campaign=x", "https://www.google.de/", "google", "organic", "x", "Organic Search"),
        ("?utm_campaign=x", "https://www.paypal.com/", "(not set)", "(not set)", "x", "Unassigned"),
        ("?utm_source=chatgpt.com", "", "chatgpt.com", "ai-assistant", "(ai-assistant)",
         "AI Assistant"),
        ("?utm_source=facebook.com", "", "facebook.com", "(not set)", "", "Organic Social"),
        # click ids, field by field
        ("?gclid=Cj0", "", "google", "cpc", "", "Paid Search"),
        ("?gclid=Cj0", "https://l.facebook.com/", "google", "cpc", "", "Paid Search"),
        ("?gclid=Cj0&utm_source=Brand", "", "brand", "cpc", "", "Paid Other"),
        ("?gclid=Cj0&utm_medium=email", "", "google", "email", "", "Organic Search"),
        ("?gclid=Cj0&utm_source=n&utm_medium=email", "", "n", "email", "", "Email"),
        ("?gclid=Cj0&utm_campaign=cross-network", "", "google", "cpc", "cross-network",
         "Cross-network"),
        ("?msclkid=0a1b", "https://www.bing.com/", "bing", "cpc", "", "Paid Search"),
        ("?dclid=x", "", "dv360", "cpm", "", "Display"),
        ("?ttclid=x", "", "tiktok", "paid", "", "Paid Social"),
        ("?awc=12_3_a", "https://gutscheine.example/", "awin", "affiliate", "", "Affiliates"),
        ("?mc_cid=1&mc_eid=2", "", "mailchimp", "email", "", "Email"),
        ("?igshid=x", "", "instagram", "social", "", "Organic Social"),
        ("?fbclid=Iw", "", "facebook", "referral", "", "Organic Social"),
        ("?fbclid=Iw", "https://l.facebook.com/", "facebook", "referral", "", "Organic Social"),
        ("?fbclid=Iw", "https://l.instagram.com/", "instagram", "referral", "", "Organic Social"),
        ("?fbclid=Iw", "https://www.threads.com/", "threads", "social", "", "Organic Social"),
        ("?fbclid=Iw", "https://www.google.de/", "facebook", "referral", "", "Organic Social"),
        ("?fbclid=Iw&utm_medium=paid", "https://l.facebook.com/", "facebook", "paid", "",
         "Paid Social"),
        ("?fbclid=Iw&utm_source=ig", "https://l.instagram.com/", "ig", "(not set)", "",
         "Organic Social"),
        ("?fbclid=Iw&utm_source=n&utm_medium=email", "", "n", "email", "", "Email"),
        ("?epik=dj0", "", "pinterest", "referral", "", "Organic Social"),
        # what is no id tells nothing
        ("?gad_source=1", "https://www.google.com/", "google", "organic", "", "Organic Search"),
        ("?gclsrc=aw.ds&gclid=", "https://t.co/x", "twitter", "referral", "", "Organic Social"),
    ],
)  # fmt: skip
def test_a_tagged_address_is_a_touch(
    query: str, referrer: str, source: str, medium: str, campaign: str, group: str
) -> None:
    found = came(query, referrer)
    assert (found.source, found.medium, found.campaign) == (source, medium, campaign)
    assert found.channel_group == group


@pytest.mark.parametrize(
    ("referrer", "source", "medium", "group"),
    [
        ("https://www.google.de/", "google", "organic", "Organic Search"),
        ("https://WWW.Google.co.uk:443/search?q=x", "google", "organic", "Organic Search"),
        ("https://google.com.br", "google", "organic", "Organic Search"),
        ("https://news.google.com/", "news.google.com", "referral", "Organic Search"),
        ("https://docs.google.com/", "docs.google.com", "referral", "Referral"),
        ("https://google.evil.example/", "google.evil.example", "referral", "Referral"),
        ("https://notbing.com/", "notbing.com", "referral", "Referral"),
        ("https://cn.bing.com/search", "bing", "organic", "Organic Search"),
        ("https://duckduckgo.com/", "duckduckgo", "organic", "Organic Search"),
        ("https://www.ecosia.org/", "ecosia", "organic", "Organic Search"),
        ("https://de.search.yahoo.com/", "yahoo", "organic", "Organic Search"),
        ("https://mail.yahoo.com/", "mail.yahoo.com", "referral", "Referral"),
        ("https://suche.t-online.de/", "t-online", "organic", "Organic Search"),
        ("https://l.facebook.com/l.php?u=x", "facebook", "referral", "Organic Social"),
        ("http://m.facebook.com/", "facebook", "referral", "Organic Social"),
        ("https://l.instagram.com/", "instagram", "referral", "Organic Social"),
        ("https://t.co/abc", "twitter", "referral", "Organic Social"),
        ("https://x.com/", "twitter", "referral", "Organic Social"),
        ("https://lnkd.in/x", "linkedin", "referral", "Organic Social"),
        ("https://www.pinterest.de/", "pinterest", "referral", "Organic Social"),
        ("https://out.reddit.com/", "reddit", "referral", "Organic Social"),
        ("https://bsky.app/", "bluesky", "social", "Organic Social"),
        ("https://www.youtube.com/", "youtube", "referral", "Organic Video"),
        ("https://youtu.be/x", "youtube", "referral", "Organic Video"),
        ("https://smile.amazon.co.uk/", "amazon", "referral", "Organic Shopping"),
        ("https://www.ebay.de/", "ebay", "referral", "Organic Shopping"),
        ("https://chat.openai.com/", "chatgpt.com", "ai-assistant", "AI Assistant"),
        ("https://gemini.google.com/app", "gemini.google.com", "ai-assistant", "AI Assistant"),
        ("https://www.perplexity.ai/", "perplexity.ai", "ai-assistant", "AI Assistant"),
        ("https://blog.example/2026/test?utm_source=x", "blog.example", "referral", "Referral"),
        ("https://user:pass@blog.example/", "blog.example", "referral", "Referral"),
        ("https://shop.example.evil/", "shop.example.evil", "referral", "Referral"),
        ("https://myshop.example/", "myshop.example", "referral", "Referral"),
        ("http://192.168.1.1:3000/", "192.168.1.1", "referral", "Referral"),
        ("android-app://com.google.android.googlequicksearchbox/", "google", "organic",
         "Organic Search"),
        ("android-app://com.google.android.gm/", "mail.google.com", "referral", "Referral"),
        ("android-app://com.Slack", "com.slack", "referral", "Referral"),
    ],
)  # fmt: skip
def test_a_referrer_alone_is_a_touch(referrer: str, source: str, medium: str, group: str) -> None:
    campaign = "(ai-assistant)" if medium == "ai-assistant" else ""
    assert came("", referrer) == Touch(source, medium, campaign, "", "", group, "", "")


@pytest.mark.parametrize(
    "referrer",
    [
        "", "about:blank", "null", "-", "https://", "https:///x", "https://exa mple/",
        "//x.example/",
        "file:///home/x", "ios-app://1/x", "javascript:alert(1)", "https://[::1]/", "https://.../",
        "https://shop.example/kasse", "https://www.shop.example", "https://konto.shop.example:8443/",
        "http://SHOP.DE/", "https://m.shop.de/", "https://shop.at/",
        "https://www.paypal.com/checkoutnow", "https://pay.klarna.com/", "https://checkout.stripe.com/",
        "https://pay.amazon.de/", "https://www.mollie.com/", "https://accounts.google.com/",
        "https://accounts.google.de/", "https://login.microsoftonline.com/", "https://appleid.apple.com/",
    ],
)  # fmt: skip
def test_own_ignored_and_unreadable_referrers_are_no_touch(referrer: str) -> None:
    assert touch(PAGE + "?size=42&gad_source=1", referrer, OWN) is None


def test_the_page_s_own_host_is_an_own_host() -> None:
    assert touch("https://other.example/a", "https://www.other.example/b", frozenset()) is None
    assert touch("https://other.example/a", "https://third.example/b", frozenset()) is not None


def test_an_own_referrer_does_not_hide_a_tag() -> None:
    assert came("?utm_source=a&utm_medium=email", "https://shop.example/").source == "a"


def test_of_several_click_ids_the_first_of_the_list_is_believed() -> None:
    found = came("?fbclid=Iw&wbraid=w&gbraid=b&gad_source=1")
    assert (found.source, found.click_id_name, found.click_id) == ("google", "gbraid", "b")
    found = came("?sccid=Ab-C&gclid=")
    assert (found.click_id_name, found.click_id) == ("ScCid", "Ab-C")


def test_the_click_id_is_kept_beside_an_explicit_tag() -> None:
    found = came("?utm_source=n&utm_medium=email&utm_term=T&utm_content=C&gclid=Cj0")
    assert found == Touch("n", "email", "", "T", "C", "Email", "gclid", "Cj0", True)


def test_a_click_id_cut_short_would_be_another_one() -> None:
    assert came("?gclid=" + "a" * 200).click_id == "a" * 200
    found = came("?gclid=" + "a" * 201)
    assert (found.source, found.click_id_name, found.click_id) == ("google", "gclid", "")


WORDS = st.sampled_from(
    [
        "utm_source=", "utm_medium=", "utm_id=", "gclid=", "fbclid=", "&", "?", "#", "%", "%00",
        "%0a", "https://", "www.", "google.de", "l.instagram.com", "/", ":", "@", ".", "\x00",
        "\ud800", "İ",
    ]
)  # fmt: skip
TEXTS = st.text() | st.lists(WORDS | st.text(max_size=3)).map("".join)


@given(TEXTS, TEXTS, st.frozensets(TEXTS, max_size=3))
def test_whatever_is_sent_a_touch_is_short_printable_and_grouped(
    url: str, referrer: str, own_hosts: frozenset[str]
) -> None:
    for referred in (referrer, "https://" + referrer):
        found = touch(url, referred, own_hosts)
        if found is not None:
            assert all(len(field) <= 200 and field.isprintable() for field in found[:-1])
            assert found.source and found.medium and found.channel_group
            assert (found.source, found.medium) == (found.source.lower(), found.medium.lower())


def test_long_and_crowded_addresses_are_cut_not_refused() -> None:
    found = came("?utm_source=" + "S" * 9_000 + "&utm_medium=email&utm_campaign=" + "c%20" * 3_000)
    assert found.source == "s" * 200
    assert len(found.campaign) == 200
    assert touch(PAGE + "?" + "a=1&" * 5_000 + "utm_source=x", "", OWN) is None
