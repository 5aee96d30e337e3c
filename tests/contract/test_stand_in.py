"""The writable endpoint as a ClickHouse server: its real client, speaking HTTP, sees no other."""

import gzip
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.summary import QuerySummary

from tests.clickhouse_server import Server, client_of

ROWS = 100_000
START = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS: dict[str, tuple[str, list[Any]]] = {
    "identity": ("FixedString(16)", [n.to_bytes(16, "big") for n in range(ROWS)]),
    "occurred_at": (
        "DateTime64(3, 'UTC')",
        [START + timedelta(milliseconds=n) for n in range(ROWS)],
    ),
    "items": (
        "Array(Tuple(String, UInt32))",
        [[(f"sku{n % 7}", n)] * (n % 3) for n in range(ROWS)],
    ),
    "value": ("Decimal(18, 4)", [Decimal(n) / 10_000 for n in range(ROWS)]),
    "source": ("LowCardinality(String)", [f"s{n % 50}" for n in range(ROWS)]),
    "medium": ("LowCardinality(Nullable(String))", [None if n % 2 else "x" for n in range(ROWS)]),
    "maybe": ("Nullable(Int64)", [None if n % 3 else -n for n in range(ROWS)]),
    "visitor": ("UInt128", [n << 70 for n in range(ROWS)]),
    "day": ("Date", [date(2026, 1, 1 + n % 28) for n in range(ROWS)]),
    "engaged": ("Bool", [bool(n % 2) for n in range(ROWS)]),
    "more": ("Map(String, String)", [{"k": str(n)} for n in range(ROWS)]),
    "share": ("Float64", [n / 3 for n in range(ROWS)]),
    "uid": ("UUID", [UUID(int=n) for n in range(ROWS)]),
    "text": ("String", [f"ü\t\n\\'{n}" for n in range(ROWS)]),
}


def create(client: Client, table: str) -> None:
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in COLUMNS.items())
    client.command(
        f"CREATE OR REPLACE TABLE {table} ({columns}) ENGINE = MergeTree ORDER BY visitor"
    )


def test_a_hundred_thousand_rows_of_every_type_come_back_equal(clickhouse_server: Server) -> None:
    with client_of(clickhouse_server, tz_mode="aware") as client:
        create(client, "every")
        data: list[list[Any]] = [values for _, values in COLUMNS.values()]
        summary = client.insert(
            "every",
            data,
            column_names=list(COLUMNS),
            column_oriented=True,
            settings={"async_insert": 0, "insert_deduplicate": 0},
        )
        assert summary.written_rows == ROWS
        result = client.query("SELECT * FROM every ORDER BY visitor", column_oriented=True)
        assert result.column_names == tuple(COLUMNS)
        for column, values in zip(result.result_columns, data, strict=True):
            assert list(column) == values


@pytest.mark.parametrize("compress", ["lz4", "zstd", "gzip", False])
def test_every_block_of_a_compressed_insert_arrives(
    clickhouse_server: Server, compress: str | bool
) -> None:
    with client_of(clickhouse_server, compress=compress) as client:
        client.command(
            "CREATE OR REPLACE TABLE packed (a UInt64, s String) ENGINE = MergeTree ORDER BY a"
        )
        rows: list[list[Any]] = [
            list(range(300_000)),
            ["x" * 20] * 300_000,
        ]  # several blocks of 1-2 MB
        client.insert("packed", rows, column_names=["a", "s"], column_oriented=True)
        totals = client.query("SELECT count(), sum(a), sum(length(s)) FROM packed").first_row
        assert totals == (300_000, 44_999_850_000, 6_000_000)
        assert len(client.query("SELECT a FROM packed").result_rows) == 300_000


def test_two_clients_write_and_read_at_once(clickhouse_server: Server) -> None:
    def work(number: int) -> int:
        with client_of(clickhouse_server) as client:
            client.command(
                f"CREATE OR REPLACE TABLE own_{number} (a UInt64) ENGINE = MergeTree ORDER BY a"
            )
            for first in range(0, 10_000, 1_000):
                rows = [list(range(first, first + 1_000))]
                client.insert(f"own_{number}", rows, column_names=["a"], column_oriented=True)
                client.insert("shared", rows, column_names=["a"], column_oriented=True)
            count = client.command(f"SELECT uniqExact(a) FROM own_{number}")
            assert isinstance(count, int)
            return count

    with client_of(clickhouse_server) as client, ThreadPoolExecutor(2) as threads:
        client.command("CREATE OR REPLACE TABLE shared (a UInt64) ENGINE = MergeTree ORDER BY a")
        assert list(threads.map(work, (1, 2))) == [10_000, 10_000]
        assert client.command("SELECT count() FROM shared") == 20_000


def test_inserts_in_words_and_in_other_formats_are_understood(clickhouse_server: Server) -> None:
    with client_of(clickhouse_server) as client:
        client.command(
            "CREATE OR REPLACE TABLE words (a UInt64, `x (y` String) ENGINE = MergeTree ORDER BY a"
        )
        client.command("INSERT INTO words (a) VALUES (1), (2)")
        client.command("INSERT INTO words (a) VALUES", data="(3)")
        client.command("INSERT INTO words VALUES (4, 'a FORMAT CSV b')")
        client.command("INSERT INTO words (a) SELECT number + 5 FROM numbers(2)")
        client.raw_insert("words", ["a", "x (y"], b"7,x\n", fmt="CSV")
        client.raw_insert("words", ["a"], b'{"a": 8}\n', fmt="JSONEachRow")
        client.raw_insert("words", ["a"], gzip.compress(b"9\n"), fmt="TSV", compression="gzip")
        client.insert("words", [[10, "z"]])
        assert client.command("SELECT groupArray(a) FROM (SELECT a FROM words ORDER BY a)") == str(
            list(range(1, 11))
        ).replace(" ", "")
        assert client.command("SELECT `x (y` FROM words WHERE a = 4") == "a FORMAT CSV b"
        with pytest.raises(DatabaseError) as caught:
            client.raw_insert("words", ["a"], b"no number\n", fmt="CSV")
        assert caught.value.code in (27, 72, 117)


def test_commands_parameters_and_settings_work_as_on_a_server(clickhouse_server: Server) -> None:
    with client_of(clickhouse_server) as client:
        assert isinstance(client.command("CREATE DATABASE IF NOT EXISTS other"), QuerySummary)
        assert client.command("SELECT 1 WHERE 0") == ""
        assert client.command("SELECT 1, 'b'") == ["1", "b"]
        assert client.command("SELECT getSetting('max_threads')", settings={"max_threads": 3}) == 3
        assert client.command("SELECT getSetting('max_threads')") != 3
        assert client.command("SELECT currentDatabase()") == "default"
        assert client.query("SELECT {a:String}", {"a": "ü\t'\\\n"}).first_row == ("ü\t'\\\n",)
        assert client.query("SELECT length({a:String})", {"a": "x" * 20_000}).first_row == (20_000,)
    with client_of(clickhouse_server, database="other") as client:
        client.command("CREATE OR REPLACE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
        assert client.command("SHOW TABLES FROM other") == "t"


@pytest.mark.parametrize(
    ("query", "code", "name"),
    [
        ("SELECT * FROM nowhere", 60, "UNKNOWN_TABLE"),
        ("SELEC 1", 62, "SYNTAX_ERROR"),
        ("SELECT 1; SELECT 2", 62, "SYNTAX_ERROR"),
        ("SELECT nope", 47, "UNKNOWN_IDENTIFIER"),
        ("SELECT throwIf(1, 'why')", 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("SELECT {a:UInt8}", 456, "UNKNOWN_QUERY_PARAMETER"),
        ("DROP TABLE nowhere", 60, "UNKNOWN_TABLE"),
    ],
)
def test_an_error_carries_its_code_and_name_to_the_client(
    clickhouse_server: Server, query: str, code: int, name: str
) -> None:
    with client_of(clickhouse_server) as client, pytest.raises(DatabaseError) as caught:
        client.query(query)
    assert (caught.value.code, caught.value.name) == (code, name)
    with pytest.raises(DatabaseError) as missing, client_of(clickhouse_server, database="nowhere"):
        pass
    assert missing.value.code == 81


def test_a_writable_endpoint_is_for_this_machine_only(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "reports.endpoint", str(tmp_path), "--writable"]
    result = subprocess.run([*command, "--listen", "0.0.0.0:0"], capture_output=True, check=False)
    assert result.returncode == 2
    assert b"127.0.0.1" in result.stderr
