"""What is asked of the read endpoint by someone who wants more than numbers, and what it answers.

Statements that reach files, hosts or other tables are judged in `tests/unit/reports`; here is what
only shows when they run: the engine's own bounds, and what comes around the statement."""

import random
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from tests.clickhouse_server import Server, client_of, started

MEMORY, TIME, SIZE, READONLY, DEEP = 241, 159, 396, 164, 167


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("store")
    with started(path, "--writable") as server, client_of(server) as client:
        client.command("CREATE DATABASE beleg")
        client.command("CREATE TABLE beleg.t (a UInt64) ENGINE = MergeTree ORDER BY a")
    with started(path) as server:
        yield server


@pytest.fixture
async def http(reader: Server) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://{reader.host}:{reader.port}") as session:
        yield session


async def ask(http: aiohttp.ClientSession, statement: str, **parameters: str) -> tuple[int, str]:
    async with http.post("/", params=parameters, data=statement.encode()) as response:
        code = response.headers.get("X-ClickHouse-Exception-Code", "0")
        return int(code), await response.text()


TALL = "FROM numbers(100000000000)"
STARVING = [
    # memory
    (f"SELECT groupArray(number) {TALL}", MEMORY),
    (f"SELECT uniqExact(number) {TALL}", MEMORY),
    ("SELECT groupArray(repeat('x', 1000000)) FROM numbers(100000)", MEMORY),
    ("SELECT arraySort(range(400000000))", MEMORY),
    ("SELECT randomString(1000000000)", MEMORY),
    ("SELECT groupArray(number) OVER () FROM numbers(200000)", MEMORY),
    ("SELECT h3kRing(644325529233966508, 5000)", MEMORY),
    # a name of 100 kB before each of a million values: the answer, not the rows
    (f"SELECT number AS `{'x' * 100_000}` FROM numbers(1000000) FORMAT JSONEachRow", MEMORY),
    ("SELECT length(repeat(repeat('x', 1000000), 100000))", 131),
    ("SELECT length(h3PolygonToCells([(0., 0.), (0., 80.), (80., 80.), (80., 0.)], 15))", 128),
    # time
    (f"SELECT count() {TALL} WHERE NOT ignore(sipHash64(number))", TIME),
    ("SELECT count() FROM numbers(1000000) a, numbers(1000000) b, numbers(1000000) c", TIME),
    ("SELECT count() FROM numbers(1000000) x JOIN numbers(1000000) y ON x.number < y.number", TIME),
    ("SELECT number FROM numbers(9) ORDER BY number WITH FILL FROM 0 TO 100000000000", TIME),
    ("SELECT quantileExact(number) OVER (ORDER BY number) FROM numbers(300000)", TIME),
    # rows
    ("SELECT number FROM numbers(3000000)", SIZE),
    # the statement itself
    ("SELECT (1,1) AS a0, " + ", ".join(f"(a{n},a{n}) AS a{n + 1}" for n in range(30)), 36),
    ("SELECT 1" + "+1" * 60_000, DEEP),
    ("SELECT " + "NOT " * 50_000 + "1", DEEP),
    ("SELECT " + "[" * 900 + "]" * 900, DEEP),
    ("SELECT CAST('x', concat(repeat('Array(', 9000), 'UInt8', repeat(')', 9000)))", 306),
    ("SELECT match('a', '((((a{0,1000}){0,1000}){0,1000}){0,1000}){0,1000}')", 427),
    ("SELECT multiMatchAny(repeat('a', 1000000), ['(a|aa|aaa){1,50}b', 'x{1000}'])", 447),
]


@pytest.mark.parametrize(("query", "code"), STARVING, ids=[query[:60] for query, _ in STARVING])
async def test_what_would_starve_the_machine_ends_with_an_error(
    http: aiohttp.ClientSession, query: str, code: int
) -> None:
    seconds = "1" if code == TIME else "30"
    given, text = await ask(http, query, max_execution_time=seconds, max_memory_usage="300000000")
    # What is bounded by time may meet the bound of memory first, on a machine that is fast.
    assert given in ((TIME, MEMORY) if code == TIME else (code,)), text[:300]
    assert await ask(http, "SELECT 1") == (0, "1\n")


STATES = (
    "uniq, String", "uniqExact, String", "uniqHLL12, String", "groupArray, String",
    "groupUniqArray, UInt64", "groupBitmap, UInt32", "topK(3), String", "argMax, String, UInt64",
    "quantileTDigest, Float64", "quantileExact, UInt64", "groupArraySample(3), String",
    "sumMap, Array(UInt64), Array(UInt64)",
)  # fmt: skip


async def test_made_up_states_of_aggregate_functions_do_not_crash_the_engine(
    http: aiohttp.ClientSession,
) -> None:
    chance = random.Random(7)
    for state in STATES:
        for start in ("", "ff" * 9 + "01", "ff" * 4 + "0f", "01", "00"):
            made_up = start + chance.randbytes(chance.randrange(40)).hex()
            cast = f"CAST(unhex('{made_up}') AS AggregateFunction({state}))"
            _, text = await ask(http, f"SELECT finalizeAggregation({cast})")
            assert text, (state, made_up)  # a value or an error
    assert await ask(http, "SELECT 1") == (0, "1\n")


AROUND = [
    # a setting in the URL that is none of the shape of the answer
    *(
        ("SELECT 1", {name: "1"}, READONLY)
        for name in (
            "allow_introspection_functions", "max_memory_usage_for_user", "max_rows_to_read",
            "priority", "workload", "log_queries", "send_logs_level", "queries", "profile",
            "max_temporary_data_on_disk_size_for_user", "format_template_resultset",
            "format_schema", "output_format_schema", "allow_experimental_analyzer", "dialect",
            "implicit_select",
            "additional_result_filter", "max_ast_depth", "max_parser_depth", "max_query_size",
            "input_format_allow_errors_num", "enable_http_compression_x", "max_execution_time_leaf",
        )
    ),
    # a parameter is a value, whatever stands in it
    ("SELECT count() FROM {t:Identifier}", {"param_t": "system.processes"}, READONLY),
    ("SELECT count() FROM {d:Identifier}.{t:Identifier}", {"param_d": "system", "param_t": "parts"},
     READONLY),
    ("SELECT count() FROM {t:Identifier}", {"param_t": "file('/etc/passwd')"}, READONLY),
    ("SELECT count() FROM {t:Identifier}", {"param_t": "t; DROP TABLE t"}, READONLY),
    ("SELECT count() FROM {t:Identifier}", {"param_t": "t WHERE 1=1 --"}, READONLY),
    ("SELECT {f:Identifier}('/etc/passwd')", {"param_f": "file"}, 62),
    ("SELECT {x:String", {"param_x": "1} , file('/etc/passwd"}, 62),
    ("SELECT {n:UInt8}", {"param_n": "1 + file('/etc/passwd')"}, 457),
    ("SELECT 1 LIMIT {n:UInt64}", {"param_n": "1; DROP TABLE t"}, 457),
    # another default database, or a statement in two parts
    ("SELECT * FROM processes", {"database": "system"}, READONLY),
    ("SELECT * FROM `/etc/passwd`", {"database": "default`.`x"}, 81),
    ("; DROP TABLE t", {"query": "SELECT 1"}, 62),
    ("1 INTO OUTFILE '/tmp/x'", {"query": "SELECT"}, READONLY),
    ("1 SETTINGS readonly = 0", {"query": "SELECT"}, READONLY),
    ("FORMAT CSV SETTINGS format_schema = '/x'", {"query": "SELECT 1"}, READONLY),
    # formats
    ("SELECT 1", {"default_format": "Template"}, 73),
    ("SELECT 1", {"default_format": "CSV SETTINGS readonly=0"}, 73),
    ("SELECT 1", {"compress": "1"}, 48),
    ("SELECT 1", {"decompress": "1"}, 48),
]  # fmt: skip


@pytest.mark.parametrize(("query", "parameters", "code"), AROUND)
async def test_what_comes_around_a_statement_does_not_widen_it(
    http: aiohttp.ClientSession, query: str, parameters: dict[str, str], code: int
) -> None:
    given, text = await ask(http, query, **parameters)
    assert given == code, text
    assert "root:" not in text


async def test_a_client_may_ask_for_smaller_blocks_and_not_for_larger(
    http: aiohttp.ClientSession,
) -> None:
    asked = "SELECT getSetting('max_block_size'), getSetting('priority')"
    assert await ask(http, asked, max_block_size="1000000000000") == (0, "65409\t10\n")
    assert await ask(http, asked, max_block_size="1000") == (0, "1000\t10\n")


async def test_what_spills_to_disk_is_bounded_as_memory_is(http: aiohttp.ClientSession) -> None:
    name = "max_temporary_data_on_disk_size_for_query"
    asked = f"SELECT getSetting('{name}') = getSetting('max_memory_usage')"
    assert await ask(http, asked) == (0, "1\n")
    assert await ask(http, asked, **{name: "99999999999999"}) == (0, "1\n")


async def test_what_a_header_repeats_cannot_begin_another(http: aiohttp.ClientSession) -> None:
    async with http.post(
        "/", params={"query_id": "a\r\nX-Evil: 1\x00ä"}, data="SELECT 1"
    ) as answer:
        assert "X-Evil" not in answer.headers
        assert answer.status == 200
    async with http.post("/", data="SELECT throwIf(1, 'a\\r\\nX-Evil: 1')") as answer:
        assert "X-Evil" not in answer.headers
        assert answer.headers["X-ClickHouse-Exception-Code"] == "395"
