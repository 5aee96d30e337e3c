"""The house keeps its own rules; an exception stands here with its reason."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, Histogram

from processors.judge import Verdict
from processors.rows import tables
from spine.codes import CODES
from spine.failpoint import FAIL_POINTS
from spine.metrics import Metrics

ROOT = Path(__file__).parents[2]
ROOMS = ("beleg", "collector", "consent_rules", "processors", "reports", "spine", "bench")
PRODUCT = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
PYTHON = [*PRODUCT, *sorted((ROOT / "tests").rglob("*.py"))]
MAX_FILE_LINES, MAX_FUNCTION_LINES = 300, 40

LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS = {
    "spine/metrics.py: __init__": "a table: one statement for each metric, no branch",
}
LATE_IMPORTS = {
    "beleg/open_endpoint.py": "chDB's library, 250 MB resident, only where a process owns a store",
    "beleg/identity/probable.py": "Splink, that only the extra `match` installs",
}
ENVIRONMENT = {
    "spine/settings_file.py": "the settings",
    "spine/failpoint.py": "no setting: a fault test kills a process there, nobody else may know it",
}
FORBIDDEN_FILES = {
    "utils", "util", "helpers", "helper", "common", "base", "types", "constants", "manager",
    "managers", "misc", "shared", "lib", "core",
}  # fmt: skip
FORBIDDEN_ENDINGS = (
    "Manager", "Handler", "Service", "Helper", "Util", "Utils", "Base", "Abstract", "Impl",
    "Wrapper", "Factory", "Interface", "Mixin", "Data", "Info",
)  # fmt: skip


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", PYTHON, ids=_name)
def test_a_file_can_be_held_in_the_head(path: Path) -> None:
    lines = len(path.read_text("utf-8").splitlines())
    assert (lines > MAX_FILE_LINES) == (_name(path) in LONG_FILES), f"{lines} lines"


def test_a_function_can_be_seen_at_once() -> None:
    long = {
        f"{_name(path)}: {function.name}"
        for path in PRODUCT
        for function in _functions(_tree(path))
        if _lines_without_docstring(function) > MAX_FUNCTION_LINES
    }
    assert long == set(LONG_FUNCTIONS)


def _lines_without_docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = _span(function)
    return lines - _span(function.body[0]) if ast.get_docstring(function) is not None else lines


def _span(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("path", PYTHON, ids=_name)
def test_a_name_says_what_a_thing_is(path: Path) -> None:
    assert path.stem not in FORBIDDEN_FILES
    classes = [node.name for node in ast.walk(_tree(path)) if isinstance(node, ast.ClassDef)]
    assert [name for name in classes if name.endswith(FORBIDDEN_ENDINGS)] == []


@pytest.mark.parametrize("path", PRODUCT, ids=_name)
def test_imports_stand_at_the_top(path: Path) -> None:
    inside = [
        ast.unparse(node)
        for function in _functions(_tree(path))
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert inside == [] or _name(path) in LATE_IMPORTS


@pytest.mark.parametrize("path", PYTHON, ids=_name)
def test_nothing_is_left_for_later_and_nothing_is_mocked(path: Path) -> None:
    text = path.read_text("utf-8")
    # Spelled in two parts, or this file would find itself.
    assert re.search(r"\b(?:TO" + r"DO|FIX" + r"ME)\b", text) is None
    imported = {
        alias.name
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    modules = {
        node.module or "" for node in ast.walk(_tree(path)) if isinstance(node, ast.ImportFrom)
    }
    assert not any("mock" in name for name in imported | modules)


@pytest.mark.parametrize("path", [p for p in PRODUCT if "bench" not in p.parts], ids=_name)
def test_the_environment_is_read_in_one_place(path: Path) -> None:
    reads = any(
        isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
        for node in ast.walk(_tree(path))
    )
    assert reads == (_name(path) in ENVIRONMENT)


def _strings(path: Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_every_code_is_given_somewhere() -> None:
    table = ROOT / "spine/codes.py"
    given = {text for path in PRODUCT if path != table for text in _strings(path)}
    assert set(CODES) - given == set()


def test_every_code_that_is_given_is_in_the_table() -> None:
    given = {
        (_name(path), node.args[0].value)
        for path in PRODUCT
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in ("Refused", "Unreadable", "_refusal")
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert len(given) > 10
    assert {code for _, code in given} <= set(CODES)


def test_every_metric_is_written_somewhere() -> None:
    kept = {
        name
        for name, metric in vars(Metrics("0")).items()
        if isinstance(metric, Counter | Gauge | Histogram)
    }
    written = {
        node.attr
        for path in PRODUCT
        if _name(path) != "spine/metrics.py"
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Attribute)
    }
    assert kept - written == set()


def test_every_fail_point_is_reached_somewhere_and_every_one_reached_is_known() -> None:
    named = [
        ast.unparse(node.args[0])
        for path in PRODUCT
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "reach"
    ]
    assert len(named) == len(set(named)), "a name stands for one place"
    named.remove("f'before {table}'")
    landed = [f"before {table}" for table, _ in tables("", Verdict([], [], [], [], []), {})]
    assert sorted(FAIL_POINTS) == sorted([*map(ast.literal_eval, named), *landed])
