"""What a user agent and client hints say."""

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA, is_crawler
from hypothesis import given, settings
from hypothesis import strategies as st

from consent_rules.reduce import reduced_agent
from processors.enrichment.client import UNKNOWN, Client, client
from spine.bots import BOT_LIST, bot_of
from spine.client_hints import ClientHints, client_hints, reduced

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
ANDROID = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko)"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15"
PEOPLE = {
    f"{WINDOWS} Chrome/142.0.0.0 Safari/537.36": ("desktop", "Chrome", "142", "Windows"),
    f"{WINDOWS} Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0":
        ("desktop", "Edge", "142", "Windows"),
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":
        ("desktop", "Firefox", "140", "Linux"),
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/18.5 Safari/605.1.15": ("desktop", "Safari", "18", "macOS"),
    f"{IPHONE} (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1":
        ("mobile", "Safari", "18", "iOS"),
    f"{IPHONE} (KHTML, like Gecko) CriOS/142.0 Mobile/15E148 Safari/604.1":
        ("mobile", "Chrome", "142", "iOS"),
    "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/16.6 Mobile/15E148 Safari/604.1": ("tablet", "Safari", "16", "iOS"),
    f"{ANDROID} Chrome/142.0.0.0 Mobile Safari/537.36": ("mobile", "Chrome", "142", "Android"),
    f"{ANDROID} Chrome/142.0.0.0 Safari/537.36": ("tablet", "Chrome", "142", "Android"),
    "Mozilla/5.0 (Linux; Android 13; SAMSUNG SM-S911B) AppleWebKit/537.36 (KHTML, like Gecko)"
    " SamsungBrowser/23.0 Chrome/115.0.0.0 Mobile Safari/537.36":
        ("mobile", "Samsung Internet", "23", "Android"),
    "Dalvik/2.1.0 (Linux; U; Android 13; SM-G991B Build/TP1A)":
        ("mobile", "Android", "13", "Android"),
    "Mozilla/5.0 (SMART-TV; Linux; Tizen 5.0) AppleWebKit/538.1 (KHTML, like Gecko) Version/5.0 TV"
    " Safari/538.1": ("other", "Safari", "5", "Tizen"),
    "Mozilla/5.0 (Windows NT 10.0; WOW64; Tablet PC 2.0) Gecko/20100101 Firefox/140.0":
        ("desktop", "Firefox", "140", "Windows"),
    "okhttp/4.9.3": ("other", "okhttp", "4", ""),
}  # fmt: skip
BOTS = {
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": "Googlebot",
    f"{WINDOWS} HeadlessChrome/142.0.0.0 Safari/537.36": "HeadlessChrome",
    "python-requests/2.31.0": "python-requests",
    "curl/8.5.0": "curl",
    "facebookexternalhit/1.1 (+http://www.facebook.com/x.php)": "facebookexternalhit",
}  # fmt: skip


@pytest.mark.parametrize("agent", PEOPLE)
def test_a_visitor_has_a_device_a_browser_and_a_system(agent: str) -> None:
    assert client(agent, "") == Client(*PEOPLE[agent])


@pytest.mark.parametrize("agent", BOTS)
def test_a_bot_is_told_also_where_only_the_family_of_its_agent_may_stay(agent: str) -> None:
    found = client(agent, "")
    assert (found.device, found.bot) == ("bot", BOTS[agent])
    assert client(reduced_agent(agent, "family"), "").device == "bot"


@pytest.mark.parametrize("agent", PEOPLE)
def test_a_reduced_agent_says_no_more_than_it_did(agent: str) -> None:
    whole, less = client(agent, ""), client(reduced_agent(agent, "family"), "")
    assert not less.bot
    assert less.browser in {whole.browser, ""}
    assert less.os in {whole.os, "", "Linux"}


def test_nothing_is_nobody() -> None:
    assert client("", "") == UNKNOWN
    assert bot_of("") == ""


def test_the_list_is_searched_as_its_own_library_does() -> None:
    examples = [agent for one in CRAWLER_USER_AGENTS_DATA for agent in one["instances"]]
    assert len(examples) > 2_000
    for agent in [*examples[::7], *PEOPLE, *BOTS]:
        assert bool(bot_of(agent)) == (is_crawler(agent) and not agent.startswith("okhttp")), agent
    assert BOT_LIST.startswith("crawler-user-agents 1.")


BRANDS = '"Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"'


def test_hints_go_before_the_agent() -> None:
    hints = reduced(BRANDS, "?0", '"Android"')
    assert hints == "Google Chrome/142;Android;?0"
    assert client(f"{WINDOWS} Safari/537.36", hints) == Client("tablet", "Chrome", "142", "Android")
    assert client("", reduced("", "?1", "")) == Client("mobile")
    assert client("", reduced('"HeadlessChrome";v="142"', "?0", '"Linux"')).bot == "HeadlessChrome"
    agent = f"{ANDROID} Chrome/142.0.0.0 Mobile Safari/537.36"
    assert client(agent, reduced('"Chromium";v="142"', "", "")).os == "Android"


@pytest.mark.parametrize(
    "brands",
    [
        '" Not A;Brand";v="99", "Chromium";v="96", "Google Chrome";v="96"',
        '"Google Chrome";v="96", "Not)A;Brand";v="8.0.0.0", "Chromium";v="96"',
        '"Not/A)Brand";v="24", "Chromium";v="96", "Google Chrome";v="96"',
    ],
)
def test_what_browsers_add_to_confuse_is_no_brand(brands: str) -> None:
    told = reduced(brands, "?1", '"Windows"')
    assert client_hints(told) == ClientHints("Google Chrome", "96", "Windows", True)


@given(st.text(), st.text(max_size=4), st.text())
def test_whatever_a_header_holds_is_one_short_text(brands: str, mobile: str, os: str) -> None:
    told = reduced(brands, mobile, os)
    assert len(told) <= 64 + 4 + 64 + 5
    assert told.count(";") in (0, 2)
    assert told.isprintable()
    client("", told)


@settings(max_examples=200)
@given(st.text(max_size=1000), st.text(max_size=50))
def test_whatever_somebody_sends_is_some_client(agent: str, hints: str) -> None:
    assert client(agent, hints).device in {"desktop", "mobile", "tablet", "bot", "other", ""}
