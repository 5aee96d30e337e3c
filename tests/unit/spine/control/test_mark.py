"""Marks: joined in any order they reach as far as the latest, and the store makes the same ones."""

import stat
from hashlib import sha256
from itertools import permutations
from pathlib import Path

import pytest

from spine.control.mark import Mark, decode_mark, decode_told, encode_told
from spine.control.marks import Marks
from spine.control.withdrawal import decode_withdrawal
from spine.digest import identifier_id
from spine.erasure_key import KEY_FILE, ErasureKey, key_of
from spine.errors import Misconfigured
from spine.settings import ErasureSettings, Secret

KEY = ErasureKey(b"a secret of more than thirty-two characters")


def mark(name: str, at_ms: int, erasure: str = "ab" * 8) -> Mark:
    digest = identifier_id("shop", "user_id", name)
    return Mark(KEY.mark(digest).hex(), at_ms, erasure, "shop", KEY.name)


def test_bytes_come_back_as_the_same_mark_and_an_older_program_reads_none() -> None:
    told = mark("anna", 5)
    assert decode_told(encode_told(told)) == decode_mark(encode_told(told)) == told
    assert decode_withdrawal(encode_told(told)) is None  # it stops then, and says why
    assert decode_told(encode_told(told).replace(b"erasure.1", b"erasure.2")) is None


def test_in_any_order_the_latest_mark_of_an_identifier_counts() -> None:
    told = [
        mark("anna", at_ms, erasure * 8) for at_ms, erasure in ((5, "aa"), (9, "bb"), (9, "cc"))
    ]
    for order in permutations(told):
        marks = Marks()
        for one in order:
            _ = marks.learn(one)
        assert marks.find(told[0].control_key) == told[2]
        assert marks.after(0, 10).marks == [told[2]]
        marks.close()


def test_many_marks_are_found_and_strangers_are_not() -> None:
    marks = Marks()
    assert marks.find(bytes(16)) is None
    for number in range(2_000):
        _ = marks.learn(mark(str(number), number))
    for number in range(2_000):
        found = marks.find(mark(str(number), 0).control_key)
        assert found is not None
        assert found.at_ms == number
    assert not any(marks.find(mark(f"x{number}", 0).control_key) for number in range(2_000))
    first = marks.after(0, 1_500)
    rest = marks.after(first.number, 1_500)
    assert [one.at_ms for one in (*first.marks, *rest.marks)] == list(range(2_000))
    marks.close()


def test_a_store_can_make_a_mark_of_the_two_blocks() -> None:
    digest = identifier_id("shop", "user_id", "anna")
    inner, outer = (bytes.fromhex(pad) for pad in KEY.pads)
    assert sha256(outer + sha256(inner + digest).digest()).digest()[:16] == KEY.mark(digest)


def test_another_secret_makes_other_marks_names_and_signatures() -> None:
    other = ErasureKey(b"another secret of more than thirty-two characters")
    digest = bytes(16)
    assert KEY.mark(digest) != other.mark(digest)
    assert KEY.name != other.name
    assert KEY.sign(b"receipt") != other.sign(b"receipt")


def test_on_one_machine_the_key_is_made_once_for_nobody_else_to_read(tmp_path: Path) -> None:
    nothing = ErasureSettings()
    assert key_of(nothing, tmp_path, makes=False) is None
    made = key_of(nothing, tmp_path, makes=True)
    assert made is not None
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    again = key_of(nothing, tmp_path, makes=True)
    assert again is not None
    assert again.name == made.name
    (tmp_path / KEY_FILE).write_text("short")
    with pytest.raises(Misconfigured, match=r"erasure\.key_file: .*at least 32"):
        key_of(nothing, tmp_path, makes=False)
    said = key_of(ErasureSettings(key=Secret("x" * 32)), tmp_path, makes=True)
    assert said is not None
    assert said.name != made.name
