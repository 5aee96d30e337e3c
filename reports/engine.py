"""One chDB directory, asked by many: a fresh handle for every question, closed after it.

A handle costs a third of a millisecond, so nothing is shared between questions: no settings, no
parameters, no current database. chDB allows one directory per process and any number of handles
on it, beside those of whoever else has it open here.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from chdb import ChdbError
from chdb.state.sqlitelike import Connection

from reports.catalogue import Catalogue, catalogue_of
from reports.statement import READONLY, Failure, Judged, Scope, judge


class Limits(NamedTuple):
    """What one reader may take from the process that also collects and derives.

    Units: `handles` questions at once, each with `max_threads` threads; `waiting` more wait, for
    `wait_s` at most. `grace_s` after its time a question that goes on is answered without its end.
    While answers that nobody has taken yet are `max_result_bytes` together, nothing more is asked;
    who takes nothing of one for `unread_s` is closed.
    A client may ask for less, never for more."""

    handles: int = 4
    waiting: int = 32
    wait_s: float = 10.0
    body_timeout_s: float = 30.0
    max_execution_time_s: int = 60
    grace_s: float = 5.0
    max_memory_bytes: int = 2 * 1024**3
    max_result_rows: int = 1_000_000
    max_result_bytes: int = 256 * 1024**2
    max_threads: int = 2
    max_block_rows: int = 65_409  # between two blocks the engine looks at the clock
    max_query_bytes: int = 256 * 1024
    max_body_bytes: int = 1024**2
    unread_s: float = 30.0


class Question(NamedTuple):
    """A statement with all that came with it.

    Shape: `statement` is UTF-8 text, in an INSERT followed by its data; `parameters` are escaped as
    in `param_…` of ClickHouse's HTTP interface; `format` is for a statement without FORMAT."""

    statement: bytes
    database: str
    format: str
    parameters: Mapping[str, str]
    settings: Mapping[str, str]


class Answer(NamedTuple):
    """What the engine gave. Shape: `format` is None where a statement gives no rows by nature."""

    body: bytes
    format: str | None
    read_rows: int
    read_bytes: int
    written_rows: int
    written_bytes: int
    elapsed_s: float


# Client settings that shape the answer and nothing else. Not all of `output_format_`: its
# `schema` names a file to write.
_SHAPES = re.compile(
    r"output_format_(?:arrow|csv|decimal|json|markdown|native|orc|parquet|pretty|sql_insert|tsv"
    r"|values|write_statistics)\w*|date_time_output_format|date_time_overflow_behavior|extremes"
    r"|format_csv_delimiter|join_use_nulls|limit|offset|session_timezone"
    r"|result_overflow_mode|float_format|bool_true_representation|bool_false_representation"
    r"|format_tsv_null_representation|format_csv_null_representation|use_uncompressed_cache"
)
# While a statement that lands or derives runs (`spine.store`), a reader's waits between two blocks.
_BEHIND = {"priority": "10"}
# Where the embedded engine's defaults are not a server's.
_SERVER = {"implicit_select": "0", "allow_introspection_functions": "0"}
# The data of an INSERT begins after FORMAT and its name; quotes and brackets before are skipped.
_INSERT = re.compile(
    rb"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
    rb"(INSERT\s+INTO\s(?:[^'`\"()]|'(?:[^'\\]|\\.)*'|`[^`]*`|\"[^\"]*\"|\([^()]*\))*?)"
    rb"\sFORMAT\s+(\w+)[ \t]*(?:\r?\n|(?=\W)|$)",
    re.IGNORECASE | re.DOTALL,
)
_GIVES_ROWS = re.compile(r"[(\s]*(?:SELECT|WITH|FROM|SHOW|EXISTS|DESCRIBE|EXPLAIN|CHECK)\b")
_FORMAT = re.compile(r" FORMAT (\w+)$")
_PREFIXES = re.compile(r"\A(?:Streaming insert \w+ failed: )?(?:Code: (\d+)\. DB::Exception: )+")
_SCOPE = re.compile(r"(?:\. )?: In scope SELECT \w+\(base64Decode\(.*\)\)(?=\. \(\w+\))", re.DOTALL)
_VERSION = re.compile(r" \(version [^()]*\)")


class Engine:
    """The directory, open until `close`; questions may come from any number of threads at once."""

    def __init__(self, path: Path, limits: Limits, *, database: str, writable: bool) -> None:
        """Open the directory, or join those who have it open in this process."""
        self._path = str(path)
        self._limits = limits
        self._database = database
        self._writable = writable
        self._keeper = Connection(self._path)  # without it each last handle would close the engine
        self.version, self.timezone = self._row("SELECT version(), timezone()")
        self._catalogue = self._read_catalogue()

    def answer(self, question: Question) -> Answer | Failure:
        """Run one statement to its end; what is refused has not run, in no part."""
        with Connection(self._path) as handle:
            scope = self._prepare(handle, question)
            if isinstance(scope, Failure):
                return scope
            if self._writable:
                return self._write(handle, question)
            return self._read(handle, question, scope)

    def close(self) -> None:
        """Let go of the directory."""
        self._keeper.close()

    def _prepare(self, handle: Any, question: Question) -> Scope | Failure:
        """Bring a handle to the client's database and settings, and lock it if this only reads."""
        database = question.database
        if database in ("", "default") and self._has(handle, self._database):
            database = self._database
        if database:
            used = _ask(handle, f"USE {_quoted(database)}", "Null")
            if isinstance(used, Failure):
                return used
        settings = self._settings(question)
        if isinstance(settings, Failure):
            return settings
        pairs = ", ".join(f"{name} = {_literal(value)}" for name, value in settings.items())
        done = _ask(handle, f"SET {pairs}", "Null")
        if isinstance(done, Failure):
            return done
        return Scope(question.parameters, database or "default")

    def _settings(self, question: Question) -> Mapping[str, str] | Failure:
        wrong = next((name for name in question.settings if not name.isidentifier()), None)
        if wrong is not None:
            return Failure(115, f"Unknown setting {wrong!r}. (UNKNOWN_SETTING)")
        if self._writable:
            return {**_SERVER, **question.settings}
        bounds = _bounds(self._limits)
        for name, value in question.settings.items():
            if name in bounds:
                asked = int(value) if value.isdecimal() else 0
                bounds[name] = min(asked or bounds[name], bounds[name])
            elif not _SHAPES.fullmatch(name):
                return Failure(
                    READONLY, f"Cannot modify '{name}' setting in readonly mode. (READONLY)"
                )
        shapes = {name: value for name, value in question.settings.items() if name not in bounds}
        return (
            _SERVER
            | _BEHIND
            | {"result_overflow_mode": "throw"}
            | shapes
            | {name: str(value) for name, value in bounds.items()}
            | {"max_query_size": str(8 * self._limits.max_query_bytes), "readonly": "1"}
        )

    def _read(self, handle: Any, question: Question, scope: Scope) -> Answer | Failure:
        if len(question.statement) > self._limits.max_query_bytes:
            return Failure(62, "Max query size exceeded. (SYNTAX_ERROR)")
        try:
            query = question.statement.decode()
        except UnicodeDecodeError:
            return Failure(62, "The statement is not UTF-8. (SYNTAX_ERROR)")
        if question.format not in self._catalogue.formats:
            return Failure(73, f"Unknown format {question.format}. (UNKNOWN_FORMAT)")
        judged = judge(query, scope, self._catalogue, partial(_ask_function, handle))
        if isinstance(judged, Failure):
            return judged
        return self._run(handle, judged, question)

    def _write(self, handle: Any, question: Question) -> Answer | Failure:
        insert = _INSERT.match(question.statement)
        if insert:
            return _insert(handle, insert, question.statement[insert.end() :])
        try:
            query = question.statement.decode()
        except UnicodeDecodeError:
            return Failure(62, "The statement is not UTF-8. (SYNTAX_ERROR)")
        if question.format not in self._catalogue.formats:
            return Failure(73, f"Unknown format {question.format}. (UNKNOWN_FORMAT)")
        if query.lstrip()[:6].upper() == "INSERT":  # its VALUES are not the parser's business
            return self._run(handle, Judged(query, None), question)
        text = _ask_function(handle, "formatQuerySingleLine", query)
        if isinstance(text, Failure):
            return text
        named = _FORMAT.search(text)
        return self._run(handle, Judged(query, named[1] if named else None), question)

    def _run(self, handle: Any, judged: Judged, question: Question) -> Answer | Failure:
        result = _ask(handle, judged.text, question.format, question.parameters)
        if isinstance(result, Failure):
            return result
        gives_rows = result.size() or _GIVES_ROWS.match(judged.text.upper())
        return Answer(
            result.bytes(),
            (judged.format or question.format) if gives_rows else None,
            result.storage_rows_read(),
            result.storage_bytes_read(),
            result.rows_written(),
            result.bytes_written(),
            result.elapsed(),
        )

    def _has(self, handle: Any, database: str) -> bool:
        found = _ask(handle, f"EXISTS DATABASE {_quoted(database)}", "TabSeparated")
        return not isinstance(found, Failure) and found.bytes() == b"1\n"

    def _row(self, query: str) -> list[Any]:
        rows: list[list[Any]] = self._rows(query)
        return rows[0]

    def _rows(self, query: str) -> list[Any]:
        result = self._keeper.query(query, "JSONCompact").bytes()
        rows: list[Any] = orjson.loads(result)["data"]
        return rows

    def _read_catalogue(self) -> Catalogue:
        return catalogue_of(
            self._rows("SELECT name, categories, alias_to, is_aggregate FROM system.functions"),
            (
                name
                for (name,) in self._rows("SELECT name FROM system.aggregate_function_combinators")
            ),
            (name for (name,) in self._rows("SELECT name FROM system.formats WHERE is_output")),
        )


def _bounds(limits: Limits) -> dict[str, int]:
    return {
        "max_execution_time": limits.max_execution_time_s,
        "max_memory_usage": limits.max_memory_bytes,
        "max_result_rows": limits.max_result_rows,
        "max_result_bytes": limits.max_result_bytes,
        "max_threads": limits.max_threads,
        "max_block_size": limits.max_block_rows,
        "max_temporary_data_on_disk_size_for_query": limits.max_memory_bytes,
    }


def _insert(handle: Any, insert: re.Match[bytes], data: bytes) -> Answer | Failure:
    try:
        with handle.send_insert(insert[1].decode(), insert[2].decode()) as stream:
            stream.append(data)
            done = stream.finish()
    except RuntimeError as error:
        return _failure(error)
    return Answer(b"", None, 0, 0, done.rows_written, done.bytes_written, done.elapsed)


def _ask(
    handle: Any, query: str, form: str, parameters: Mapping[str, str] | None = None
) -> Any | Failure:
    try:
        return handle.query(query, form, params=parameters or {})
    except (ChdbError, RuntimeError) as error:
        return _failure(error)


def _ask_function(handle: Any, function: str, text: str) -> str | Failure:
    encoded = {
        "text": b64encode(text.encode()).decode()
    }  # a parameter: no quoting, no length limit
    result = _ask(handle, f"SELECT {function}(base64Decode({{text:String}}))", "RawBLOB", encoded)
    if isinstance(result, Failure):
        return result
    answer: str = result.bytes().decode()
    return answer


def _failure(error: Exception) -> Failure:
    message = str(error).strip()
    prefix = _PREFIXES.match(message)
    text = _VERSION.sub("", _SCOPE.sub("", message[prefix.end() :] if prefix else message))
    return Failure(int(prefix[1]) if prefix else 1001, text)


def _quoted(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
