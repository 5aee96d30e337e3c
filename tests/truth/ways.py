"""The ways into the shop of the truth report, and the channel group of each, written by hand."""

from typing import NamedTuple


class Way(NamedTuple):
    """How somebody comes.

    Shape: `group` is the channel group, '' for what is no touch; `group_without_ads` is what is
    left of it where click ids may not be kept."""

    share: int
    query: str
    referrer: str
    group: str
    group_without_ads: str


def _way(share: int, query: str, referrer: str, group: str, without_ads: str = "") -> Way:
    return Way(share, query, referrer, group, without_ads or group)


WAYS = (
    _way(20, "", "", ""),
    _way(14, "", "https://www.google.de/", "Organic Search"),
    _way(10, "utm_source=google&utm_medium=cpc&utm_campaign=kueche", "", "Paid Search"),
    _way(8, "gclid=Cj0KCQjw123", "https://www.google.com/", "Paid Search", "Organic Search"),
    _way(8, "utm_source=newsletter&utm_medium=email&utm_campaign=herbst", "", "Email"),
    _way(
        6,
        "utm_source=facebook&utm_medium=paid_social&utm_campaign=decken&fbclid=IwAR2abc",
        "https://l.facebook.com/",
        "Paid Social",
    ),
    _way(6, "", "https://www.instagram.com/", "Organic Social"),
    _way(5, "utm_source=chatgpt.com", "https://chatgpt.com/", "AI Assistant"),
    _way(4, "", "https://www.youtube.com/", "Organic Video"),
    _way(4, "", "https://ein-blog.example/artikel", "Referral"),
    _way(3, "utm_source=partner&utm_medium=affiliate&utm_campaign=p7", "", "Affiliates"),
    _way(3, "utm_source=dv360&utm_medium=display&utm_campaign=marke", "", "Display"),
    _way(2, "utm_source=crm&utm_medium=sms&utm_campaign=gutschein", "", "SMS"),
    _way(
        2, "utm_source=app&utm_medium=push&utm_campaign=erinnerung", "", "Mobile Push Notifications"
    ),
    _way(2, "utm_source=google&utm_medium=cpc&utm_campaign=shopping_alle", "", "Paid Shopping"),
    _way(2, "", "https://www.paypal.com/checkout", ""),
    _way(1, "utm_source=irgendwas&utm_medium=seltsam", "", "Unassigned"),
)
