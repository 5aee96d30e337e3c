"""Real input for flow tests: the clickstream that ships with `retentioneering` 5.2.4 (Apache-2.0).

31,106 rows of 600 users with the file's own session ids; columns user_id, session_id, event,
timestamp, platform, acquisition_channel, user_cohort, user_lifecycle. Only that one file is read
out of the wheel; the package is never installed. It has no event id, no money and no consent: those
come from the seeded rules below. What a store must say is worked out here in plain Python.
"""

import csv
import gzip
import hashlib
import io
import os
import random
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, NoReturn

import orjson
import pytest

_WHEEL = "retentioneering-5.2.4-py3-none-any.whl"
_WHEEL_SHA256 = "f4ab91b67c6deed93728bfb6e503adfe304f101a53e9112ee0219b304b0f3b1a"
_MEMBER = "retentioneering/datasets/ecom.csv.gz"
_SEED = 20_240_104
_SHOP = "https://shop.example"

# The file's names to GA4's; what is not here keeps its own name.
_NAMES = {
    "home": "page_view",
    "promo_page": "page_view",
    "account_page": "page_view",
    "review_page": "page_view",
    "error_page": "page_view",
    "catalog": "view_item_list",
    "product_view": "view_item",
    "wishlist_add": "add_to_wishlist",
    "cart": "view_cart",
    "shipping_details": "add_shipping_info",
    "payment_details": "add_payment_info",
}

# The file's acquisition channel: how a visit from there looks, and GA4's name for it.
_CHANNELS = {
    "organic": ("", "https://www.google.com/", "Organic Search"),
    "paid_search": ("?utm_source=google&utm_medium=cpc&utm_campaign=brand", None, "Paid Search"),
    "email": ("?utm_source=newsletter&utm_medium=email&utm_campaign=weekly", None, "Email"),
    "social": ("?utm_source=facebook&utm_medium=social", None, "Organic Social"),
    "direct": ("", None, "Direct"),
}


class Row(NamedTuple):
    """A line of the file; `number` counts from 0 and is what makes it an event of its own."""

    number: int
    user_id: str
    session_id: str
    event: str
    at: datetime
    platform: str
    acquisition_channel: str


class Figures(NamedTuple):
    """What a store that counted every event once must say."""

    events: int
    by_name: Mapping[str, int]
    orders: int
    revenue: Decimal
    sessions: int
    visitors: int
    persons: int
    sessions_by_channel: Mapping[str, int]


def rows() -> list[Row]:
    """The file, in its own order. Skips the test when it cannot be had; under CI it fails."""
    with zipfile.ZipFile(_wheel()) as wheel:
        text = gzip.decompress(wheel.read(_MEMBER)).decode()
    return [
        Row(
            number,
            line["user_id"],
            line["session_id"],
            line["event"],
            datetime.fromisoformat(line["timestamp"]).replace(tzinfo=UTC),
            line["platform"],
            line["acquisition_channel"],
        )
        for number, line in enumerate(csv.DictReader(io.StringIO(text)))
    ]


def events(file_rows: Sequence[Row]) -> list[dict[str, object]]:
    """One server-key event per row, in the file's order."""
    named, amounts = _with_user_id(file_rows), _amounts(file_rows)
    return [_event(row, row.number in named, amounts.get(row.number)) for row in file_rows]


def traffic(file_rows: Sequence[Row]) -> list[bytes]:
    """The events as lines of NDJSON, shuffled, with every twentieth sent again somewhere."""
    chance = random.Random(_SEED)
    lines = [orjson.dumps(event) + b"\n" for event in events(file_rows)]
    lines += chance.sample(lines, k=len(lines) // 20)
    chance.shuffle(lines)
    return lines


def figures(file_rows: Sequence[Row]) -> Figures:
    """The right answers: sessions are the file's own, not cut by anybody's rule."""
    amounts = _amounts(file_rows)
    channel_of = {row.session_id: row.acquisition_channel for row in file_rows}
    return Figures(
        events=len(file_rows),
        by_name=Counter(_NAMES.get(row.event, row.event) for row in file_rows),
        orders=len(amounts),
        revenue=sum(amounts.values(), Decimal(0)),
        sessions=len(channel_of),
        visitors=len({_visitor(row) for row in file_rows}),
        persons=len({row.user_id for row in file_rows}),
        sessions_by_channel=Counter(_CHANNELS[name][2] for name in channel_of.values()),
    )


def sessions_by_gap(file_rows: Sequence[Row], *, by_platform: bool) -> set[frozenset[int]]:
    """Row numbers of each session, cut where strictly more than 30 minutes lie between rows."""
    visits: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(file_rows, key=lambda row: (row.at, row.number)):
        visits[_visitor(row) if by_platform else row.user_id].append(row)
    sessions: set[frozenset[int]] = set()
    for visit in visits.values():
        session = [visit[0].number]
        for earlier, later in pairwise(visit):
            if later.at - earlier.at > timedelta(seconds=1800):
                sessions.add(frozenset(session))
                session = []
            session.append(later.number)
        sessions.add(frozenset(session))
    return sessions


def _event(row: Row, named: bool, amount: Decimal | None) -> dict[str, object]:
    query, referrer, _ = _CHANNELS[row.acquisition_channel]
    page = {"url": f"{_SHOP}/{row.event}{query}"}
    if referrer:
        page["referrer"] = referrer
    event: dict[str, object] = {
        "event_id": str(row.number),
        "name": _NAMES.get(row.event, row.event),
        "occurred_at": row.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "anonymous_id": _visitor(row),
        "page": page,
        "consent": {"purposes": {"analytics": True}},
    }
    if named:
        event["user_id"] = row.user_id
    if amount is not None:
        event["commerce"] = {
            "transaction_id": _order(row.number),
            "currency": "EUR",
            "value": str(amount),
        }
    return event


def _visitor(row: Row) -> str:
    return f"{row.user_id}-{row.platform}"


def _order(number: int) -> str:
    return f"R{number:05d}"


def _with_user_id(file_rows: Sequence[Row]) -> set[int]:
    """On which rows the visitor is logged in: on one in eight, and on one at least per visitor."""
    chance = random.Random(_SEED)
    by_visitor: dict[str, list[int]] = defaultdict(list)
    for row in file_rows:
        by_visitor[_visitor(row)].append(row.number)
    return {
        number
        for numbers in by_visitor.values()
        for number in chance.sample(numbers, k=max(1, len(numbers) // 8))
    }


def _amounts(file_rows: Sequence[Row]) -> dict[int, Decimal]:
    """What every purchase came to, to the cent."""
    chance = random.Random(_SEED)
    return {
        row.number: Decimal(chance.randint(990, 49_990)) / 100
        for row in file_rows
        if row.event == "purchase"
    }


def _wheel() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "beleg-test"
    wheel = cache / _WHEEL
    if not wheel.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            _download(folder)
            # Renamed when whole: two test runs may do this at the same time.
            (Path(folder) / _WHEEL).replace(wheel)
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != _WHEEL_SHA256:
        pytest.fail(f"{wheel} is not the published file; delete it and run again")
    return wheel


def _download(folder: str) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    what = ["--no-deps", "--only-binary=:all:", "--dest", folder, "retentioneering==5.2.4"]
    patience = ["--retries", "1", "--timeout", "15"]
    try:
        subprocess.run([*pip, *patience, *what], check=True, capture_output=True, timeout=120)
    except subprocess.CalledProcessError as error:
        _without_file(error.stderr.decode(errors="replace").strip().splitlines()[-1:])
    except subprocess.TimeoutExpired:
        _without_file(["no answer within 120 s"])


def _without_file(why: Sequence[str]) -> NoReturn:
    sentence = f"the wheel retentioneering==5.2.4 could not be downloaded: {' '.join(why)}"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)
