"""ClickHouse's clients at the endpoint: unmodified, over real HTTP, against the real engine."""

import gzip
import io
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import date
from pathlib import Path

import aiohttp
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, ProgrammingError

from tests.clickhouse_server import Server, client_of, started


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("store")
    secret = path.parent / "secret.csv"
    secret.write_text("secret,1\n")
    with started(path, "--writable") as server, client_of(server) as client:
        client.command("CREATE DATABASE beleg")
        client.command("CREATE TABLE beleg.t (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
        client.insert("beleg.t", [[n, f"s{n % 3}"] for n in range(1_000)], column_names=["a", "s"])
        client.command("CREATE VIEW beleg.v AS SELECT s, count() AS rows FROM beleg.t GROUP BY s")
        client.command(
            f"CREATE VIEW beleg.over_file AS SELECT * FROM file('{secret}', 'CSV', 'c1 String')"
        )
    with started(path) as server:
        yield server


@pytest.fixture(scope="module")
def analyst(reader: Server) -> Iterator[Client]:
    with client_of(reader) as client:
        yield client


@pytest.fixture
async def http(reader: Server) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://{reader.host}:{reader.port}") as session:
        yield session


def test_an_analyst_reads_in_every_way_the_client_offers(analyst: Client) -> None:
    query = "SELECT s, count() AS n FROM t GROUP BY s ORDER BY s"
    rows = [("s0", 334), ("s1", 333), ("s2", 333)]
    assert analyst.query(query).result_rows == rows
    assert list(analyst.query_df(query).itertuples(index=False, name=None)) == rows
    assert analyst.query_arrow(query).to_pydict() == {"s": ["s0", "s1", "s2"], "n": [334, 333, 333]}
    assert analyst.query_np("SELECT a FROM t ORDER BY a").shape == (1_000, 1)
    assert analyst.raw_query(query, fmt="CSV") == b'"s0",334\n"s1",333\n"s2",333\n'
    assert analyst.command("SELECT count() FROM beleg.v") == 3
    assert analyst.query("SELECT a, a FROM t ORDER BY a DESC LIMIT 2").result_rows == [
        (999, 999),
        (998, 998),
    ]
    assert analyst.query("SELECT a FROM t LIMIT 0").column_names == ("a",)
    assert analyst.query("DESCRIBE TABLE t").result_columns[0] == ["a", "s"]
    assert analyst.command("EXISTS t") == 1
    assert "over_file\nt\nv" in str(analyst.command("SHOW TABLES"))
    assert analyst.ping()
    with analyst.query_row_block_stream("SELECT number FROM numbers(300000)") as stream:
        assert sum(len(block) for block in stream) == 300_000
    with analyst.raw_stream("SELECT number FROM numbers(1000)", fmt="TSV") as stream:
        assert len(stream.read().splitlines()) == 1_000


def test_parameters_reach_the_engine_as_values(analyst: Client) -> None:
    result = analyst.query(
        "SELECT {text:String}, {n:Int64}, {day:Date}, {list:Array(String)}, "
        "{none:Nullable(String)}, count() FROM {table:Identifier}",
        {
            "text": "'; DROP TABLE t --\t\\\n",
            "n": -1,
            "day": date(2026, 1, 2),
            "list": ["a", "b'"],
            "none": None,
            "table": "t",
        },
    )
    assert result.first_row == (
        "'; DROP TABLE t --\t\\\n",
        -1,
        date(2026, 1, 2),
        ["a", "b'"],
        None,
        1_000,
    )
    assert analyst.query("SELECT length({a:String})", {"a": "x" * 20_000}).first_row == (20_000,)


def test_an_analyst_changes_nothing(analyst: Client) -> None:
    for change in (
        "INSERT INTO t VALUES (1, 'x')",
        "DROP TABLE t",
        "TRUNCATE TABLE t",
        "SET readonly = 0",
    ):
        with pytest.raises(DatabaseError) as caught:
            analyst.command(change)
        assert caught.value.code == 164
    with pytest.raises(DatabaseError) as caught:
        analyst.insert("t", [[1, "x"]], column_names=["a", "s"])
    assert caught.value.code == 164
    with pytest.raises(ProgrammingError, match="readonly"):
        analyst.query("SELECT 1", settings={"max_threads": 1})
    assert analyst.command("SELECT count() FROM t") == 1_000


async def ask(http: aiohttp.ClientSession, query: str, **parameters: str) -> tuple[int, str]:
    async with http.post("/", params=parameters, data=io.BytesIO(query.encode())) as response:
        return response.status, await response.text()


async def test_the_eight_holes_of_a_readonly_handle_are_shut(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    target = tmp_path / "out"
    for query in (
        "SELECT file('/etc/hostname')",
        "DESCRIBE TABLE file('/etc/hostname')",
        "DESCRIBE TABLE url('http://127.0.0.1:1/')",
        f"SELECT 1 INTO OUTFILE '{target}' TRUNCATE",
        "KILL QUERY WHERE 1",
        "SELECT sleep(3)",
        "SELECT 1; SELECT 2",
        "CREATE USER x",
    ):
        status, text = await ask(http, query)
        assert status in (400, 500), (query, text)
        assert text.startswith(("Code: 164.", "Code: 62.")), (query, text)
    assert not target.exists()


async def test_a_view_over_a_file_stays_shut(http: aiohttp.ClientSession) -> None:
    status, text = await ask(http, "SELECT * FROM over_file")
    assert (status, "secret" in text, "READONLY" in text) == (500, False, True)


async def test_nothing_but_the_statement_can_name_a_file_or_a_format(
    http: aiohttp.ClientSession,
) -> None:
    for name, value in (
        ("default_format", "CSV INTO OUTFILE 'x'"),
        ("default_format", "DataFrame"),
        ("database", "beleg` ; DROP TABLE t"),
        ("max_threads; DROP TABLE t", "1"),
        ("output_format_schema", "/tmp/x"),
        ("format_schema", "/tmp/x"),
        ("allow_ddl", "1"),
        ("session_timezone", "' , readonly = '0"),
        ("extremes", "1', readonly = '0"),
        ("implicit_select", "1"),
    ):
        status, text = await ask(http, "SELECT 1", **{name: value})
        assert status != 200, (name, text)
        assert text.startswith("Code: "), text


async def test_limits_hold_and_a_client_can_only_lower_them(http: aiohttp.ClientSession) -> None:
    setting = "SELECT getSetting('max_threads'), getSetting('max_result_rows')"
    assert await ask(http, setting) == (200, "2\t1000000\n")
    assert await ask(http, setting, max_threads="64", max_result_rows="0") == (200, "2\t1000000\n")
    assert await ask(http, setting, max_threads="1", max_result_rows="10") == (200, "1\t10\n")
    assert (await ask(http, "SELECT number FROM numbers(11)", max_result_rows="10"))[1][
        :9
    ] == "Code: 396"
    endless = "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(number)"
    assert (await ask(http, endless, max_execution_time="1"))[0] == 408
    hungry = "SELECT groupArray(number) FROM numbers(1000000000)"
    assert (await ask(http, hungry, max_memory_usage="100000000"))[1][:9] == "Code: 241"


async def test_what_is_too_long_or_too_deep_is_refused_and_the_endpoint_lives(
    http: aiohttp.ClientSession,
) -> None:
    deep = "SELECT " + "(" * 100_000 + "1" + ")" * 100_000
    long = "SELECT 1 -- " + "x" * 300_000
    assert (await ask(http, deep))[0] in (400, 500)
    assert (await ask(http, long))[0] == 400
    assert (await ask(http, "x" * 2_000_000))[0] == 413
    async with http.post(
        "/", data=gzip.compress(b" " * 50_000_000), headers={"Content-Encoding": "gzip"}
    ) as r:
        assert r.status == 413
    async with http.post("/", data=b"no gzip", headers={"Content-Encoding": "gzip"}) as r:
        assert (r.status, r.headers["X-ClickHouse-Exception-Code"]) == (500, "271")
    assert await ask(http, "SELECT 1") == (200, "1\n")


async def test_curl_is_answered_as_by_clickhouse(http: aiohttp.ClientSession) -> None:
    async with http.get("/") as response:
        assert (response.status, await response.text()) == (200, "Ok.\n")
    async with http.get("/ping") as response:
        assert (response.status, await response.text()) == (200, "Ok.\n")
    async with http.get("/", params={"query": "SELECT 1 AS a FORMAT JSONEachRow"}) as response:
        assert await response.text() == '{"a":1}\n'
        assert response.headers["X-ClickHouse-Format"] == "JSONEachRow"
        assert response.headers["X-ClickHouse-Timezone"]
        assert response.headers["X-ClickHouse-Query-Id"]
        assert '"read_rows":"1"' in response.headers["X-ClickHouse-Summary"]
    async with http.post("/", params={"query": "SELECT 1"}, data=b" + 1") as response:
        assert await response.text() == "2\n"
    async with http.post("/", data={"query": "x"}) as response:  # curl -d sends this content type
        assert response.status == 400
    async with http.post("/", data="SELECT 1", headers={"X-ClickHouse-Format": "CSV"}) as response:
        assert response.headers["Content-Type"].startswith("text/csv")
    assert await ask(http, "SELECT 'a' AS x", default_format="JSONCompactEachRow") == (
        200,
        '["a"]\n',
    )
    assert (await ask(http, "SELECT nope"))[0] == 404
    assert (await ask(http, "SELECT 1", compress="1"))[0] == 501
    assert await ask(http, "SELECT {a:String}", param_a="x\\ty") == (200, "x\\ty\n")
    assert await ask(http, "SELECT count() FROM t", database="default") == (200, "1000\n")
    assert await ask(http, "SELECT currentDatabase()", database="system") == (200, "system\n")
    assert (await ask(http, ""))[0] == 400


async def test_an_answer_is_packed_only_when_asked_for(http: aiohttp.ClientSession) -> None:
    for encoding in ("gzip", "deflate"):
        headers = {"Accept-Encoding": encoding}
        async with http.post("/", data="SELECT 1", headers=headers) as response:
            assert "Content-Encoding" not in response.headers
        asked = {"enable_http_compression": "1"}
        async with http.post("/", params=asked, data="SELECT 1", headers=headers) as response:
            assert response.headers["Content-Encoding"] == encoding
            assert await response.text() == "1\n"


async def test_a_page_of_elsewhere_cannot_read_by_renaming_this_machine(
    http: aiohttp.ClientSession,
) -> None:
    async with http.post("/", data="SELECT 1", headers={"Host": "evil.example:8123"}) as response:
        assert response.status == 403
    async with http.post("/", data="SELECT 1", headers={"Host": "localhost:8123"}) as response:
        assert response.status == 200


def test_readers_are_served_beside_a_writer_in_one_process(tmp_path: Path) -> None:
    program = Path(__file__).with_name("beside_a_writer.py")
    command = [sys.executable, str(program), str(tmp_path / "store")]
    environment = {"PYTHONPATH": str(Path.cwd())}
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, timeout=120
    )
    assert result.returncode == 0, result.stderr
