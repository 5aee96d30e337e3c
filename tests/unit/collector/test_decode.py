"""What is wrong with an event or a body, by its code and its path."""

import json
from typing import Any

import msgspec
import pytest

from collector.decode import Claim, Claims, Unreadable, decode
from spine.codes import CODES, Refused
from spine.event import Event

GOOD = b'{"name": "page_view", "event_id": "good"}'


def one(body: bytes) -> Event | Refused:
    found = decode(body, 10)
    assert isinstance(found, Claims), found
    assert len(found.events) == 1
    return found.events[0]


def event_with(path: str, json_text: str) -> bytes:
    """Write an event that has this JSON at a dotted path; `[]` is a list of one."""
    for key in reversed(path.split(".")):
        name = key.removesuffix("[]")
        inside = f"[{json_text}]" if key != name else json_text
        json_text = f'{{"{name}": {inside}}}'
    return (json_text[:-1] + ', "name": "purchase"}').encode()


def text(length: int) -> str:
    return json.dumps("x" * length)


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"null", b"5", b'""', b"true", b"[]", b'[{"name": "a"}]', b"{", b'{"name": "a"',
        b'{"name": "a"} x', b'{"name": "a"}{"name": "b"}', b"{'name': 'a'}", b'{"name": "a",}',
        b'{"name": NaN}', b'{"name": "a", "properties": {"x": NaN}}',
        b'{"name": "a", "consent": NaN}',
        b'{"name": "a", "commerce": {"value": NaN}}',
        b'{"name": "a", "properties": {"x": Infinity}}',
        b'{"name": "a", "properties": {"x": -Infinity}}', b'{"name": "a", "properties": {"x": 01}}',
        b'{"events": [{"name": "a", "properties": {"x": NaN}}, {"name": "b"}]}',
        b'{"name": "\xff"}', b'{"events": [{"name": "\xff"}]}', b'{"name": "\xed\xa0\xbd"}',
        b"\xef\xbb\xbf" + GOOD, GOOD.decode().encode("utf-16"), b"\x1f\x8b\x08\x00",
        b"name=purchase",
        b"[" * 200_000, b'{"a":' * 200_000, b'{"name": "a", "consent": ' + b"[" * 200_000,
        b'{"name": "a", "properties": {"x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}}",
        b'{"events": [' + b"[" * 200_000 + b"]" * 200_000 + b"]}",
        b'{"events": 5}', b'{"events": null}', b'{"events": {}}', b'{"events": "x"}',
        b'{"events": [], "sent_at": "x"}', b'{"events": [], "sent_at": 5}',
        b'{"events": [], "x": 1}',
        b'{"events": [], "sent_at": "2026-11-22T10:00:00"}', b'{"name": "\\ud8"}',
        b'{"name": "\\x"}',
    ],
)  # fmt: skip
def test_what_is_not_json_of_one_event_or_a_batch_is_unreadable(body: bytes) -> None:
    found = decode(body, 10)
    assert isinstance(found, Unreadable)
    assert found.code == "unreadable_body"
    assert len(found.detail) <= 300


def test_too_many_events_are_refused_as_a_whole() -> None:
    batch = {"events": [{"name": "a"}] * 11}
    assert decode(msgspec.json.encode(batch), 11) == Claims([Claim(name="a")] * 11, None)
    found = decode(msgspec.json.encode(batch), 10)
    assert isinstance(found, Unreadable)
    assert found.code == "too_many_events"


def test_an_empty_batch_has_no_results() -> None:
    assert decode(b'{"events": []}', 10) == Claims([], None)


AMOUNTS = ("value", "tax", "shipping", "discount", "items[].price", "items[].discount")
NO_AMOUNTS = (
    '"NaN"', '"sNaN"', '"Infinity"', '"-Infinity"', "1e400", '"1e999999"', "-1e15", "1e14",
    '"100000000000000"', "99999999999999.99999", '"abc"', '""', '"12,50"', '"12 EUR"',
    '"1e99999999999999999999"', "1e99999999999999999999", "9" * 5000,
)  # fmt: skip


@pytest.mark.parametrize("amount", NO_AMOUNTS)
@pytest.mark.parametrize("field", AMOUNTS)
def test_an_amount_that_no_column_can_hold_is_refused(field: str, amount: str) -> None:
    path = f"commerce.{field}"
    found = one(event_with(path, amount))
    if field.startswith("items") and amount == "99999999999999.99999":
        return  # the price of one unit is kept as it is
    assert isinstance(found, Refused)
    assert (found.code, found.path) == ("bad_amount", "$." + path.replace("[]", "[0]"))


def test_items_whose_sum_no_column_can_hold_are_refused() -> None:
    items = b'[{"price": 99999999999999, "quantity": 1000000}, {"price": 1}]'
    found = one(b'{"name": "purchase", "commerce": {"items": ' + items + b"}}")
    assert isinstance(found, Refused)
    assert (found.code, found.path) == ("bad_amount", "$.commerce.items")


@pytest.mark.parametrize(
    ("amount", "kept"),
    [
        ("39.98", "39.9800"), ('"39.98"', "39.9800"), ("0.00005", "0.0000"), ("0.00015", "0.0002"),
        ("-12", "-12.0000"), ("1e3", "1000.0000"), ("0.1", "0.1000"), ('"1e-999999"', "0.0000"),
        ("99999999999999.9999", "99999999999999.9999"), ("0." + "1" * 5000, "0.1111"),
    ],
)  # fmt: skip
def test_an_amount_is_kept_to_four_decimals_half_to_even(amount: str, kept: str) -> None:
    found = one(event_with("commerce.value", amount))
    assert isinstance(found, Event)
    assert found.commerce is not None
    assert str(found.commerce.value) == kept


WRONG: list[tuple[str, str, str]] = [
    # path, JSON there, code
    ("name", '""', "empty_value"),
    ("name", text(65), "too_long"),
    ("name", '"a\\u0000"', "bad_value"),
    ("name", '"a\\n"', "bad_value"),
    ("event_id", '""', "empty_value"),
    ("event_id", text(201), "too_long"),
    ("anonymous_id", '""', "empty_value"),
    ("user_id", "5", "wrong_type"),
    ("user_id", "[]", "wrong_type"),
    ("identifiers.email_sha256", '"max@shop.example"', "bad_value"),
    ("identifiers.email_sha256", json.dumps("A" * 64), "bad_value"),
    ("identifiers.email_sha256", json.dumps("a" * 64 + "\n"), "bad_value"),
    ("identifiers.crm_id", '""', "empty_value"),
    ("page.url", text(4097), "too_long"),
    ("page.title", text(1001), "too_long"),
    ("ip", text(46), "too_long"),
    ("commerce.transaction_id", '""', "empty_value"),
    ("commerce.currency", '"eur"', "bad_currency"),
    ("commerce.currency", '"EURO"', "bad_currency"),
    ("commerce.currency", '"XXX"', "bad_currency"),
    ("commerce.currency", '""', "bad_currency"),
    ("commerce.currency", "978", "wrong_type"),
    ("commerce.value", "true", "wrong_type"),
    ("commerce.value", "[]", "wrong_type"),
    ("commerce.value", "{}", "wrong_type"),
    ("commerce.items[].quantity", "-1", "bad_value"),
    ("commerce.items[].quantity", "1000001", "bad_value"),
    ("commerce.items[].quantity", "1.5", "wrong_type"),
    ("commerce.items[].quantity", '"2"', "wrong_type"),
    ("commerce.items[].quantity", "9" * 5000, "bad_value"),
    ("commerce.items[].index", "1000001", "bad_value"),
    ("commerce.items[].item_id", text(201), "too_long"),
    *[(f"commerce.{field}", "true", "wrong_type") for field in AMOUNTS],
    *[
        ("occurred_at", json.dumps(time), "bad_time")
        for time in (
            "", "x", "now", "2026-11-22", "2026-11-22T10:00:00", "2026-13-01T00:00:00Z",
            "2026-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "2016-12-31T23:59:60Z", "1795341600",
            "10000-01-01T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00+99:00",
            "-001-01-01T00:00:00Z", "2026-01-01T00:00:00Z\n", "2026-01-01T00:00:00 Europe/Berlin",
        )
    ],
    ("occurred_at", "1795341600000", "wrong_type"),
    ("occurred_at", "true", "wrong_type"),
    ("occurred_at", "1e400", "bad_value"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "code"), WRONG)
def test_a_wrong_value_has_its_code_and_its_path(path: str, value: str, code: str) -> None:
    found = one(event_with(path, value))
    if path == "name":  # the last of two equal keys counts
        found = one(f'{{"name": {value}}}'.encode())
    assert isinstance(found, Refused)
    assert (found.code, found.path) == (code, "$." + path.replace("[]", "[0]"))


@pytest.mark.parametrize("wrong", ["5", '"x"', "[]", "true"])
@pytest.mark.parametrize(
    "path", ["page", "identifiers", "commerce", "properties", "commerce.items[]"]
)
def test_what_is_no_object_is_of_the_wrong_type(path: str, wrong: str) -> None:
    found = one(event_with(path, wrong))
    assert isinstance(found, Refused)
    assert (found.code, found.path) == ("wrong_type", "$." + path.replace("[]", "[0]"))


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        (b"{}", "missing_field", "$.name"),
        (b'{"user_id": "u"}', "missing_field", "$.name"),
        (b'{"name": "a", "event": "b"}', "unknown_field", "$.event"),
        (b'{"name": "a", "sent_at": "2026-11-22T10:00:00Z"}', "unknown_field", "$.sent_at"),
        (b'{"name": "a", "x\\ny": 1}', "unknown_field", "$.x\ny"),
        (b'{"name": "a", "page": {"path": "/"}}', "unknown_field", "$.page.path"),
        (b'{"name": "a", "commerce": {"revenue": 1}}', "unknown_field", "$.commerce.revenue"),
        (
            b'{"name": "a", "commerce": {"items": [{}, {"sku": "x"}]}}',
            "unknown_field",
            "$.commerce.items[1].sku",
        ),
        (b'{"name": "a", "properties": {"x": {}}}', "wrong_type", "$.properties[...]"),
        (b'{"name": "a", "properties": {"x": []}}', "wrong_type", "$.properties[...]"),
        (b'{"name": "a", "properties": {"x": 1e400}}', "bad_value", "$.properties[...]"),
        (
            b'{"name": "a", "properties": {"x": 9223372036854775808}}',
            "bad_value",
            "$.properties[...]",
        ),
        (b'{"name": "a", "properties": {"": 1}}', "empty_value", "$.properties"),
    ],
)
def test_a_wrong_shape_has_its_code_and_its_path(body: bytes, code: str, path: str) -> None:
    found = one(body)
    assert isinstance(found, Refused)
    assert (found.code, found.path) == (code, path)
    assert CODES[code].kind == "refused"


@pytest.mark.parametrize(
    ("extra", "path"),
    [
        ({"properties": {f"k{n}": n for n in range(101)}}, "$.properties"),
        ({"properties": {"k": "x" * 1001}}, "$.properties[...]"),
        ({"properties": {"k" * 65: 1}}, "$.properties"),
        ({"commerce": {"items": [{}] * 201}}, "$.commerce.items"),
    ],
)
def test_what_is_too_long_is_refused_and_says_where(extra: dict[str, Any], path: str) -> None:
    found = one(msgspec.json.encode({"name": "a"} | extra))
    assert isinstance(found, Refused)
    assert (found.code, found.path) == ("too_long", path)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (r"cut \ud83d", "cut \ufffd"),
        (r"\ude00 cut", "\ufffd cut"),
        (r"\uD83D\uDE00 whole", "\U0001f600 whole"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (r"no escape: \\ud83d", r"no escape: \ud83d"),
        (r"\\\ud83d", "\\\ufffd"),
    ],
)
def test_half_an_emoji_costs_nothing_but_itself(sent: str, read: str) -> None:
    cut = f'{{"name": "a", "page": {{"title": "{sent}"}}}}'
    found = decode(f'{{"events": [{GOOD.decode()}, {cut}]}}'.encode(), 10)
    assert isinstance(found, Claims)
    event = found.events[1]
    assert isinstance(event, Event)
    assert event.page is not None
    assert event.page.title == read


def test_the_last_of_two_equal_keys_counts() -> None:
    assert one(b'{"name": "a", "name": "b"}') == Claim(name="b")


@pytest.mark.parametrize(
    "bad", ["5", "null", '"x"', "[]", "{}", '{"name": 5}', '{"name": "a", "x": 1}']
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_bad_event_never_harms_its_neighbours(bad: str, place: int) -> None:
    events = [GOOD.decode(), GOOD.decode()]
    events.insert(place, bad)
    found = decode(('{"events": [' + ", ".join(events) + "]}").encode(), 10)
    assert isinstance(found, Claims)
    good = Claim(name="page_view", event_id="good")
    assert [event == good for event in found.events] == [n != place for n in range(3)]
    assert isinstance(found.events[place], Refused)


def test_an_unreadable_consent_object_is_no_reason_to_refuse() -> None:
    assert isinstance(one(b'{"name": "a", "consent": 5}'), Event)
    assert isinstance(one(b'{"name": "a", "consent": {"x": [{}]}}'), Event)


def test_a_refused_event_keeps_its_own_id_where_one_can_be_read() -> None:
    body = (
        b'{"events":[{"event_id":"e1","name":"x","nonsense":1},{"event_id":7,"name":"x"},'
        b'{"event_id":"e3","name":"x","commerce":{"currency":"EURO"}},{"name":5}]}'
    )
    claims = decode(body, 10)
    assert isinstance(claims, Claims)
    found = [event.event_id if isinstance(event, Refused) else "?" for event in claims.events]
    assert found == ["e1", None, "e3", None]
