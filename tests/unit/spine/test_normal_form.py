"""One form for an e-mail and a phone, the one that most who take hashes have; and what is none."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from spine.blocked import names_nobody
from spine.normal_form import email_sha256, phone_sha256

FORMS = json.loads(Path(__file__).with_name("normal_forms.json").read_text())
OF = {"em": email_sha256, "email": email_sha256, "ph": phone_sha256}


@pytest.mark.parametrize("case", FORMS["cases"], ids=lambda case: case["raw"])
def test_the_hash_is_the_published_one(case: dict[str, str]) -> None:
    assert OF[case["field"]](case["raw"]) == case["sha256"]
    assert sha256(case["normalized"].encode()).hexdigest() == case["sha256"]


@pytest.mark.parametrize("case", FORMS["rejected"], ids=lambda case: case["raw"])
def test_what_is_none_is_nobody(case: dict[str, str]) -> None:
    assert OF[case["field"]](case["raw"]) is None


def test_a_hash_is_taken_as_it_is() -> None:
    there = FORMS["passed_through"]
    assert email_sha256(there) == phone_sha256(f" {there.upper()} ") == there


def test_a_zero_that_is_dialled_at_home_is_no_digit() -> None:
    assert phone_sha256("+49 (0)170 1234567") == phone_sha256("0049 170 1234567")


@pytest.mark.parametrize(
    "nobody",
    ["null", "NULL", " None ", "0", "000", "00000000-0000-0000-0000-000000000000", "anonymous",
     "undefined", "-1", "", "n/a", *(sha256(word).hexdigest() for word in (b"", b"null", b"0"))],
)  # fmt: skip
def test_some_ids_name_nobody(nobody: str) -> None:
    assert names_nobody(nobody)


@pytest.mark.parametrize("somebody", ["1", "u0", "nullable", "anonymous-7", "10", "phone"])
def test_others_name_somebody(somebody: str) -> None:
    assert not names_nobody(somebody)
