"""What a file of customers must be, and what is kept of it."""

import pytest

from reports.crm_file import Customer, Customers, Fault, read_customers

HEAD = "crm_id,consent,given_name,surname,birth_on,phone,email\n"
ROW = "K1,yes,Zoë,  van  DER Berg,1980-05-17,+49 (0)30 123-4567,Zoe@Shop.Example\n"


def test_cells_are_compared_in_one_form() -> None:
    found = read_customers(("\ufeff" + HEAD + ROW).encode())
    assert found == Customers(
        [
            Customer(
                "K1", "zoe", "van der berg", "1980-05-17", email="zoe@shop.example",
                phone="301234567",
            )
        ],
        ["given_name", "surname", "birth_on", "email", "phone"],
        0,
    )  # fmt: skip


def test_of_who_did_not_agree_nothing_is_read_and_only_counted() -> None:
    found = read_customers((HEAD + ROW + "K2,no,,,never,,\n,no,,,,,\n").encode())
    assert isinstance(found, Customers)
    assert [one.crm_id for one in found.agreed] == ["K1"] and found.without_consent == 2


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", (1, 0)),
        (HEAD.replace("consent", "agreed") + ROW, (1, 2)),
        (HEAD.replace("email", "phone") + ROW, (1, 7)),
        (HEAD.replace("crm_id,", "") + ROW, (1, 0)),
        ("crm_id,consent,surname,city\n", (1, 0)),
        (HEAD + ROW + "K2,yes,a\n", (3, 0)),
        (HEAD + ROW + "K2,maybe,a,b,,,\n", (3, 2)),
        (HEAD + ROW + "K2,,a,b,,,\n", (3, 2)),
        (HEAD + ROW + ",yes,a,b,,,\n", (3, 1)),
        (HEAD + ROW + "\n" + ROW, (4, 1)),
        (HEAD + ROW + "K2,yes,a,b,17.05.1980,,\n", (3, 5)),
        (HEAD + '"K1,yes', (2, 0)),
        (HEAD + 'K1,yes,"a\nb",c,,,\n' + "K2,perhaps,,,,,\n", (4, 2)),
    ],
)
def test_what_is_wrong_is_named_by_line_and_column(text: str, fault: tuple[int, int]) -> None:
    found = read_customers(text.encode())
    assert isinstance(found, Fault) and (found.line, found.column) == fault, found


def test_what_is_not_utf_8_is_named_by_its_line() -> None:
    found = read_customers((HEAD + ROW).encode() + "K2,yes,Müller,,,,\n".encode("latin-1"))
    assert isinstance(found, Fault) and found.line == 3
