"""What the demo shop consists of: its site, its goods, its visitors' browsers and ways in. Data."""

from decimal import Decimal
from typing import NamedTuple


class DemoSite(NamedTuple):
    """The site of the demo, for the settings and for the sender."""

    name: str
    currency: str
    timezone: str
    origin: str
    browser_key: str
    server_key: str


# The server key stands in the source on purpose: it opens a demo on this machine, nothing else.
DEMO_SITE = DemoSite(
    name="demo",
    currency="EUR",
    timezone="Europe/Berlin",
    origin="http://localhost",
    browser_key="bk_demo_4f1c9a7e52d84b06",
    server_key="sk_demo_b83e6d05c1f2479a9d7e",
)


class Good(NamedTuple):
    """Something on the shelf. Units: `price` is EUR without tax."""

    item_id: str
    item_name: str
    item_category: str
    price: Decimal


GOODS = (
    Good("KUE-101", "Emaille-Kaffeekanne 1,0 l", "Küche", Decimal("28.49")),
    Good("KUE-102", "Gusseiserne Bratpfanne 28 cm", "Küche", Decimal("50.34")),
    Good("KUE-103", "Brotkasten aus Zirbenholz", "Küche", Decimal("66.30")),
    Good("KUE-104", "Gewürzmühle Nussbaum", "Küche", Decimal("33.53")),
    Good("KUE-105", "Küchenmesser Solingen 18 cm", "Küche", Decimal("74.71")),
    Good("TEX-201", "Leinenschürze, grau", "Textil", Decimal("29.33")),
    Good("TEX-202", "Geschirrtücher Halbleinen, 3 Stück", "Textil", Decimal("16.76")),
    Good("TEX-203", "Wolldecke Rhön 140 × 200", "Textil", Decimal("108.32")),
    Good("TEX-204", "Tischläufer Fischgrät", "Textil", Decimal("24.29")),
    Good("GAR-301", "Gießkanne verzinkt 9 l", "Garten", Decimal("32.69")),
    Good("GAR-302", "Gartenschere mit Lederetui", "Garten", Decimal("41.93")),
    Good("GAR-303", "Vogelhaus Lärche", "Garten", Decimal("20.92")),
    Good("GAR-304", "Pflanztöpfe Terrakotta, 4 Stück", "Garten", Decimal("15.08")),
    Good("SCH-401", "Füllfederhalter, schwarz", "Schreibtisch", Decimal("57.98")),
    Good("SCH-402", "Notizbuch A5, fadengeheftet", "Schreibtisch", Decimal("12.56")),
    Good("SCH-403", "Schreibtischleuchte Messing", "Schreibtisch", Decimal("125.21")),
)


class WayIn(NamedTuple):
    """How visitors find the shop.

    Shape: `share` is relative; `query` ends with `=` where a click id belongs."""

    share: int
    referrer: str | None
    query: str


WAYS_IN = (
    WayIn(
        24,
        "https://www.google.com/",
        "utm_source=google&utm_medium=cpc&utm_campaign=kueche_suche&gclid=",
    ),
    WayIn(24, "https://www.google.de/", ""),
    WayIn(18, None, ""),
    WayIn(12, None, "utm_source=newsletter&utm_medium=email&utm_campaign=herbst_neuheiten"),
    WayIn(
        10,
        "https://m.facebook.com/",
        "utm_source=facebook&utm_medium=paid_social&utm_campaign=wolldecken&fbclid=",
    ),
    WayIn(7, "https://chatgpt.com/", "utm_source=chatgpt.com"),
    WayIn(
        5,
        "https://www.gutscheine.example/",
        "utm_source=gutscheine.example&utm_medium=affiliate&utm_campaign=partner&awc=",
    ),
)

LAPTOPS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.6 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
)
PHONES = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Mobile Safari/537.36",
)
SHOP_BACKEND = "demo-shop/1.0"
