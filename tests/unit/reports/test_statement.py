"""The judge, asking a real engine; what it lets through is run nowhere here."""

import contextlib
from base64 import b64encode
from collections.abc import Iterator

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from reports.catalogue import CATEGORIES, Catalogue, catalogue_of
from reports.statement import Failure, Judged, Scope, judge
from tests.clickhouse_server import Server
from tests.unit.reports.statements import ALLOWED, REFUSED


@pytest.fixture(scope="module")
def engine(clickhouse_server: Server) -> Iterator[Client]:
    with contextlib.closing(clickhouse_connect.get_client(**clickhouse_server._asdict())) as client:
        yield client


@pytest.fixture(scope="module")
def catalogue(engine: Client) -> Catalogue:
    functions = "SELECT name, categories, alias_to, is_aggregate FROM system.functions"
    combinators = "SELECT name FROM system.aggregate_function_combinators"
    formats = "SELECT name FROM system.formats WHERE is_output"
    return catalogue_of(
        (
            (name, categories, alias_to, aggregate)
            for name, categories, alias_to, aggregate in engine.query(functions).result_rows
        ),
        engine.query(combinators).result_columns[0],
        engine.query(formats).result_columns[0],
    )


def judged(
    engine: Client, catalogue: Catalogue, query: str, database: str = "beleg", **parameters: str
) -> Judged | Failure:
    def ask(function: str, text: str) -> str | Failure:
        try:
            return engine.raw_query(
                f"SELECT {function}(base64Decode({{text:String}}))",
                {"text": b64encode(text.encode()).decode()},
                fmt="RawBLOB",
            ).decode()
        except DatabaseError as error:
            return Failure(error.code or 0, str(error))

    return judge(query, Scope(parameters, database), catalogue, ask)


@pytest.mark.parametrize("query", ALLOWED)
def test_an_analyst_s_statement_runs_in_the_engine_s_spelling(
    engine: Client, catalogue: Catalogue, query: str
) -> None:
    answer = judged(engine, catalogue, query)
    assert isinstance(answer, Judged), answer
    again = judged(engine, catalogue, answer.text)
    assert again == answer


@pytest.mark.parametrize("query", REFUSED)
def test_what_is_not_plain_reading_is_refused(
    engine: Client, catalogue: Catalogue, query: str
) -> None:
    assert isinstance(judged(engine, catalogue, query), Failure)


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("SELECT * FROM {t:Identifier}", {"t": "system.processes"}),
        ("SELECT * FROM {d:Identifier}.{t:Identifier}", {"d": "system", "t": "processes"}),
        ("SELECT * FROM system.{t:Identifier}", {"t": "processes"}),
        ("SELECT * FROM {t:Identifier}", {"t": "default.x"}),
        ("SELECT * FROM {t:Identifier}", {"t": "`/etc/passwd`"}),
        ("SELECT * FROM {t:Identifier}", {"t": "file('/etc/passwd')"}),
        ("SELECT * FROM {t:Identifier}", {}),
        ("SELECT arrayMap({f:Identifier}, ['/etc/passwd'])", {"f": "file"}),
        ("SELECT 1 IN {t:Identifier}", {"t": "system.processes"}),
    ],
)
def test_an_identifier_parameter_reaches_no_further_than_text(
    engine: Client, catalogue: Catalogue, query: str, parameters: dict[str, str]
) -> None:
    assert isinstance(judged(engine, catalogue, query, **parameters), Failure)
    plain = judged(
        engine, catalogue, "SELECT {c:Identifier} FROM {t:Identifier}", c="a", t="beleg.t"
    )
    assert isinstance(plain, Judged)


def test_another_current_database_opens_nothing(engine: Client, catalogue: Catalogue) -> None:
    for query in ("SELECT * FROM processes", "SELECT 1 IN processes", "DESCRIBE TABLE processes"):
        assert isinstance(judged(engine, catalogue, query, database="system"), Failure)
    shadowed = "SELECT * FROM (WITH processes AS (SELECT 1) SELECT 1), processes"
    assert isinstance(judged(engine, catalogue, shadowed, database="system"), Failure)
    assert isinstance(judged(engine, catalogue, "SELECT * FROM t", database="default"), Failure)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT " + "(" * 100_000 + "1" + ")" * 100_000,
        "SELECT " + "[" * 100_000,
        "SELECT 1" + "+1" * 100_000,
        "SELECT " + "- " * 50_000 + "1",
        "SELECT " + "f(" * 400 + "1" + ")" * 400,
        "SELECT " + "negate(" * 400 + "1" + ")" * 400,
        "SELECT * FROM " + "(SELECT * FROM " * 5_000,
        "SELECT " + "case when 1 then " * 2_000,
    ],
    ids=["brackets", "arrays", "sum", "minus", "calls", "orjson", "subqueries", "cases"],
)
def test_depth_is_refused_and_the_engine_lives(
    engine: Client, catalogue: Catalogue, query: str
) -> None:
    assert isinstance(judged(engine, catalogue, query), Failure)
    assert isinstance(judged(engine, catalogue, "SELECT 1"), Judged)


def test_order_format_and_duplicate_names_survive(engine: Client, catalogue: Catalogue) -> None:
    query = "SELECT a, a FROM t ORDER BY FORMAT DESC FORMAT JSONEachRow"
    assert judged(engine, catalogue, query) == Judged(query, "JSONEachRow")
    assert judged(engine, catalogue, "SELECT a FROM t ORDER BY FORMAT") == Judged(
        "SELECT a FROM t ORDER BY FORMAT ASC", None
    )


def test_every_function_of_the_engine_is_offered_or_withheld(
    engine: Client, catalogue: Catalogue
) -> None:
    names = engine.query("SELECT name FROM system.functions").result_columns[0]
    undecided = [
        name
        for name in names
        if not catalogue.offers(name) and name.lower() not in catalogue.withheld
    ]
    assert undecided == []
    categories = engine.query("SELECT DISTINCT categories FROM system.functions").result_columns[0]
    assert set(categories) >= CATEGORIES, (
        "a category of ours is gone: its functions are elsewhere now"
    )
    assert not catalogue.offered & {"file", "sleep", "sleepeachrow", "dictget", "joinget", "url"}
