"""A file of the CRM is read whole or told to be wrong, by line and column."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beleg.identity.file import MOST_LINE_BYTES, Expected, Fault, Row, read_rows

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
EXPECTED = Expected("shop", ZoneInfo("Europe/Berlin"), frozenset({"analytics", "ads"}), None)
JANE = sha256(b"jane@shop.example").hexdigest()


def read(file: str | bytes, expected: Expected = EXPECTED) -> Sequence[Row | Fault]:
    given = file.encode() if isinstance(file, str) else file
    return [*read_rows(given.splitlines(keepends=True), expected)]


def row(file: str | bytes, expected: Expected = EXPECTED) -> Row:
    (found,) = read(file, expected)
    assert isinstance(found, Row), found
    return found


def fault(file: str | bytes) -> str:
    (found,) = read(file)
    assert isinstance(found, Fault), found
    return str(found)


def test_a_row_is_what_a_server_would_send() -> None:
    event = row(
        "at;user_id;crm_id;email;phone;anonymous_id;consent_analytics;consent_ads;consent_at\n"
        "2026-11-20T13:00:00+01:00;u1;K-1;Jane@Shop.Example;+49 (0)170 1234567;a1;Yes;0;2026-11-01"
    ).event
    told = msgspec.json.decode(msgspec.json.encode(event))
    assert told.pop("event_id").startswith("h-")
    assert told == {
        "name": "identify", "occurred_at": "2026-11-20T12:00:00Z", "user_id": "u1",
        "anonymous_id": "a1",
        "identifiers": {
            "crm_id": "K-1", "email": "Jane@Shop.Example", "phone": "+49 (0)170 1234567",
        },
        "consent": {
            "purposes": {"analytics": True, "ads": False}, "decided_at": "2026-10-31T23:00:00Z",
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-20", datetime(2026, 11, 19, 23, tzinfo=UTC)),
        ("2026-11-20 13:00", NOON),
        ("2026-11-20T13:00:00", NOON),
        ("2026-11-20T12:00:00.000Z", NOON),
        ("2026-11-20 07:00:00-05:00", NOON),
        ("2026-07-20", datetime(2026, 7, 19, 22, tzinfo=UTC)),
    ],
)
def test_a_time_without_a_zone_is_the_sites(text: str, at: datetime) -> None:
    assert row(f"at,user_id,crm_id\n{text},u,k").event.occurred_at == at


@pytest.mark.parametrize(
    "file",
    [
        "\ufeffat,user_id,crm_id\r\n2026-11-20,u,k\r\n\r\n",
        'at;"user_id";crm_id\n 2026-11-20 ; u ;"k"\n;;\n',
        "crm_id,at,user_id,phone\nk,2026-11-20,u,",
    ],
)
def test_marks_blanks_quotes_and_the_order_of_columns_make_no_difference(file: str) -> None:
    assert row(file) == Row(2, row("at,user_id,crm_id\n2026-11-20,u,k").event, [])


def test_the_id_of_a_row_is_made_of_what_it_says() -> None:
    def id_of(cells: str, head: str = "at,user_id,email,consent_analytics") -> str | None:
        return row(f"{head}\n{cells}").event.event_id

    one = id_of("2026-11-20,u,jane@shop.example,true")
    assert one == id_of("2026-11-20T00:00+01:00,u, JANE@shop.example ,")
    assert one == id_of(f"2026-11-20,u,{JANE.upper()},1", "at,user_id,email_sha256,consent_ads")
    others = {
        id_of("2026-11-21,u,jane@shop.example,true"),
        id_of("2026-11-20,v,jane@shop.example,true"),
        id_of("2026-11-20,u,joe@shop.example,true"),
        row("at,user_id,email\n2026-11-20,u,jane@shop.example", EXPECTED._replace(site="b"))
        .event.event_id,
    }  # fmt: skip
    assert one not in others and len(others) == 4


def test_rows_without_a_time_have_the_one_of_all() -> None:
    later = EXPECTED._replace(at=NOON)
    assert row("user_id,crm_id\nu,k", later).event.occurred_at == NOON
    assert row("at,user_id,crm_id\n,u,k", later).event.occurred_at == NOON
    assert fault("at,user_id,crm_id\n,u,k") == "line 2, column at: is empty, and there is no --at"


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("user_id", "null"), ("crm_id", "0"), ("anonymous_id", "anonymous"), ("email", "n/a"),
        ("email", "jane.shop.example"), ("phone", "0170 1234567"), ("phone_sha256", "NULL"),
        ("email_sha256", sha256(b"").hexdigest()), ("email_sha256", sha256(b"null").hexdigest()),
        ("user_id", "00000000-0000-0000-0000-000000000000"),
    ],
)  # fmt: skip
def test_what_names_nobody_is_left_out_and_told_of(column: str, text: str) -> None:
    columns = [one for one in ("user_id", "crm_id", "anonymous_id") if one != column]
    others = [f"{one}-1" for one in columns]
    found = row(f"at,{column},{','.join(columns)}\n2026-11-20,{text},{','.join(others)}")
    assert found.blocked == [column]
    assert f'"{text}"'.encode() not in msgspec.json.encode(found.event)


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("", "line 1, column 1: connects nothing without two of"),
        ("at,email,email_sha256\n", "line 1, column 1: connects nothing without two of"),
        ("user_id,crm_id\nu,k", 'line 1, column 1: needs "at"'),
        ("at,user_id,crm_id,name\n", 'line 1, column 4: "name" is none of at, user_id'),
        ("at,user_id,crm_id,consent_sms\n", 'line 1, column 4: "consent_sms" is none of'),
        ("at,user_id,crm_id,at\n", 'line 1, column 4: "at" stands there twice'),
        ("at,user_id,crm_id\n2026-11-20,u\n", "line 2, column 3: has 2 cells, and the head has 3"),
        ("at,user_id,crm_id\n\n2026-11-20,u,k,\n", "line 3, column 4: has 4 cells"),
        ("at,user_id,crm_id\n20.11.2026,u,k\n", 'line 2, column at: "20.11.2026" is no time'),
        ("at,user_id,crm_id\n2026-02-30,u,k\n", 'line 2, column at: "2026-02-30" is no time'),
        ("at,user_id,crm_id\n0001-01-01,u,k\n", 'line 2, column at: "0001-01-01" is no time'),
        (
            "at,user_id,crm_id,consent_ads\n2026-11-20,u,k,maybe\n",
            'line 2, column consent_ads: "maybe" is neither true nor false, and not empty',
        ),
        ("at,user_id,email_sha256\n2026-11-20,u,abc\n", "line 2, column email_sha256: Expected"),
        (f"at,user_id,crm_id\n2026-11-20,{'u' * 201},k\n", "line 2, column user_id: Expected"),
        ('at,user_id,crm_id\n2026-11-20,"u,k\n2026-11-20,u,k\n', "line 2, column 1: is no CSV"),
        ("at,user_id,crm_id\n2026-11-20,ü,k\n".encode("latin-1"), "line 2, column user_id: is no"),
        ("at,user_id,crm_id\n".encode("utf-16"), "line 1, column 1: is no UTF-8"),
        (
            f"at,user_id,crm_id\n2026-11-20,{'u' * MOST_LINE_BYTES},k\n",
            "line 2, column at: stands in a line of more than 65,536 bytes",
        ),
    ],
)
def test_what_is_wrong_is_told_by_line_and_column(file: str | bytes, told: str) -> None:
    assert fault(file).startswith(told)


def test_a_row_over_several_lines_is_told_by_its_first_and_the_next_ones_are_read() -> None:
    found = read('at,user_id,crm_id\n2026-11-20,"u\nv",k\nx,u,k\n2026-11-20,u,k\n')
    assert [one.line for one in found] == [2, 4, 5]
    assert [type(one) for one in found] == [Row, Fault, Row]


HEAD = b"at;user_id;crm_id;email;phone_sha256;consent_ads\n"
CELLS = st.lists(
    st.sampled_from(
        ["2026-11-20", "u", "0", '"', '"a"b', "\n", "\r", "\x00", "ü", "j@k.example", "true", ";"]
    ),
    max_size=30,
).map(lambda cells: ";".join(cells).encode())


@given(st.binary(max_size=80) | (st.binary(max_size=80) | CELLS).map(lambda data: HEAD + data))
def test_no_file_makes_it_fail_and_every_fault_names_its_line(data: bytes) -> None:
    lines = data.splitlines(keepends=True)
    for one in read(data):
        assert 1 <= one.line <= max(1, len(lines))
