"""A receipt says what it was made of, and nothing of it can be changed."""

import re
from pathlib import Path

import msgspec
import pytest

from processors.erasure.masking import TABLES
from processors.erasure.receipt import LogKept, Receipt, Work, is_genuine, receipt_of
from spine.erasure_key import ErasureKey

KEY = ErasureKey(b"a secret of more than thirty-two characters")
WORK = Work(
    erasure="ab" * 8,
    site="shop",
    why="ticket 7",
    until_ms=1_711_800_000_000,
    closed_ms=1_711_800_001_500,
    marks=["cd" * 16, "ab" * 16],
    found={"events": 5},
    files_gone_ms=1_711_800_601_500,
    log=LogKept("Kafka, collected", 1_712_404_801_500),
)


def test_a_receipt_says_what_it_was_made_of_and_is_genuine() -> None:
    receipt = receipt_of(WORK, KEY)
    told = msgspec.json.decode(receipt)
    assert told["erased_until"] == "2024-03-30T12:00:00.000+00:00"
    assert told["identifiers"] == ["ab" * 16, "cd" * 16]
    assert told["log_kept_until"] == "2024-04-06T12:00:01.500+00:00"
    assert is_genuine(receipt, KEY)
    assert is_genuine(msgspec.json.format(receipt, indent=4), KEY), "however it is laid out"
    forever = receipt_of(WORK._replace(log=LogKept("Kafka, collected", None)), KEY)
    assert msgspec.json.decode(forever)["log_kept_until"].startswith("for ever")


@pytest.mark.parametrize(
    "change",
    [
        {"site": "other"},
        {"found": {"events": 4}},
        {"identifiers": []},
        {"kept": {}},
        {"signature": ""},
        {"signature": "é" * 64},
        {"more": 1},
    ],
)
def test_one_that_was_changed_is_not_genuine(change: dict[str, object]) -> None:
    told = msgspec.json.decode(receipt_of(WORK, KEY))
    assert not is_genuine(msgspec.json.encode({**told, **change}), KEY)


def test_what_is_no_receipt_or_of_another_key_is_not_genuine() -> None:
    other = ErasureKey(b"another secret of more than thirty-two characters")
    for content in (b"", b"\xff", b"[" * 100_000, b"{}", receipt_of(WORK, other)):
        assert not is_genuine(content, KEY)


def test_the_one_that_is_shown_has_all_that_one_has() -> None:
    page = (Path(__file__).parents[4] / "docs/erasure.md").read_text("utf-8")
    (shown,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert set(msgspec.json.decode(shown)) == set(msgspec.json.decode(receipt_of(WORK, KEY)))
    receipt = msgspec.json.decode(shown, type=Receipt)
    assert set(receipt.found) == {*TABLES, "order_facts", "fates"}
