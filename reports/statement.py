"""What a reader may ask: one statement, parsed by the engine itself, every node of it known here.

The engine spells the statement anew (`formatQuerySingleLine`) and lays it out as a tree
(`parseQueryToJSON`); neither executes anything, and both refuse a second statement. The tree is
judged by what is allowed, never by what is forbidden, and what runs afterwards is the engine's
spelling: comments, quoting, letter case and parser differences have nowhere to hide.

Invariants:

1. Every node of the tree is of a known kind; a kind that a newer engine adds is refused.
2. Every function is in a category of the engine's own catalogue that computes from its arguments,
   or is named in `catalogue.HARMLESS`; also where it is passed by name, `arrayMap(file, …)`.
3. No table function but `TABLE_FUNCTIONS`; no table of `system` but `SYSTEM_TABLES`; nothing of
   the database `default`, which the embedded engine lays over the file system.
4. No INTO OUTFILE, no SETTINGS, no format that the engine does not list.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from reports.catalogue import SYSTEM_TABLES, TABLE_FUNCTIONS, Catalogue

Tree = dict[str, Any]

READONLY = 164


class Failure(NamedTuple):
    """A statement that was not answered, in the words and numbers of ClickHouse.

    Shape: `text` is the message without its leading code, its name in brackets at the end.
    """

    code: int
    text: str


class Judged(NamedTuple):
    """A statement that may run: the engine's spelling of it, and its FORMAT if it has one."""

    text: str
    format: str | None


class Scope(NamedTuple):
    """Where a statement would run: its parameters, as sent, and the database it names no other."""

    parameters: Mapping[str, str]
    database: str


Ask = Callable[[str, str], str | Failure]
"""Asks the engine for a function (by name) of a text, and for nothing else."""

ROOTS = frozenset(
    {"SelectWithUnionQuery", "ShowTablesQuery", "ShowColumnsQuery", "ShowIndexesQuery"}
)
NODES = ROOTS | {
    "ArrayJoin", "Asterisk", "ColumnsApplyTransformer", "ColumnsExceptTransformer",
    "ColumnsListMatcher", "ColumnsRegexpMatcher", "ColumnsReplaceTransformer",
    "ColumnsReplaceTransformerReplacement", "ColumnsTransformerList", "Collation",
    "ExpressionList", "Function", "Identifier", "InterpolateElement", "Literal", "OrderByElement",
    "QualifiedAsterisk", "QualifiedColumnsListMatcher", "QualifiedColumnsRegexpMatcher",
    "QueryParameter", "SampleRatio", "SelectIntersectExceptQuery", "SelectQuery", "Subquery",
    "TableExpression", "TableFunction", "TableIdentifier", "TableJoin", "TablesInSelectQuery",
    "TablesInSelectQueryElement", "WindowDefinition", "WindowListElement", "WithElement",
}  # fmt: skip

_IN = frozenset(
    f"{scope}{negation}{null}in{suffix}"
    for scope in ("", "global")
    for negation in ("", "not")
    for null in ("", "null")
    for suffix in ("", "ignoreset")
)
_NAME = r"(`(?:[^`\\]|\\.)+`|[A-Za-z_][A-Za-z0-9_]*)"
# The statements for which the engine has no tree, in the engine's own spelling, whole.
_NAMED = re.compile(
    rf"(?:DESCRIBE TABLE|EXISTS (?:TABLE|VIEW)|SHOW CREATE (?:TABLE|VIEW)) "
    rf"{_NAME}(?:\.{_NAME})?(?: FORMAT (\w+))?",
    re.DOTALL,
)
_PLAIN = re.compile(r"\w+(?:\.\w+)?")
_EXISTS_DATABASE = re.compile(rf"EXISTS DATABASE {_NAME}(?: FORMAT (\w+))?", re.DOTALL)


def judge(query: str, scope: Scope, catalogue: Catalogue, ask: Ask) -> Judged | Failure:
    """Answer with the only text that may run for this query, or with why nothing runs.

    Nothing of the query is executed, and no data is read, to come to the answer."""
    text = ask("formatQuerySingleLine", query)
    if isinstance(text, Failure):
        return text
    if named := _NAMED.fullmatch(text):
        parts = [_unquoted(part) for part in named.groups()[:2] if part]
        objection = _table(parts, scope) or _format(named[3], catalogue)
        return objection or Judged(text, named[3])
    if named := _EXISTS_DATABASE.fullmatch(text):
        return _format(named[2], catalogue) or Judged(text, named[2])
    tree = ask("parseQueryToJSON", text)
    if isinstance(tree, Failure):
        return _only_reading() if "JSON serialization" in tree.text else tree
    try:
        root = orjson.loads(tree)
    except orjson.JSONDecodeError:  # only nesting beyond orjson's 1024 levels can do this
        return Failure(167, "The statement is nested too deeply. (TOO_DEEP_AST)")
    objection = judge_tree(root, scope, catalogue)
    return objection or Judged(text, root.get("format_ast", {}).get("name"))


def judge_tree(root: Tree, scope: Scope, catalogue: Catalogue) -> Failure | None:
    """Answer with the first objection to a parsed statement, or None."""
    if root["type"] not in ROOTS:
        return _only_reading()
    if "out_file" in root:
        return _refused("INTO OUTFILE is not offered")
    for node in _nodes(root):
        objection = _object(node, scope, catalogue)
        if objection:
            return objection
    return _format(root.get("format_ast", {}).get("name"), catalogue)


def _nodes(root: Tree) -> Iterator[Tree]:
    """Every node; the function that stands for a table comes as a `TableFunction`."""
    stack: list[Any] = [root]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, dict):
            if "type" in item:
                yield item
            if "table_function" in item:
                item = {
                    **item,
                    "table_function": {**item["table_function"], "type": "TableFunction"},
                }
            if item.get("type") != "Literal":  # a literal holds values only
                stack.extend(item.values())


def _object(node: Tree, scope: Scope, catalogue: Catalogue) -> Failure | None:
    kind = node["type"]
    if kind not in NODES:
        what = "SETTINGS inside the statement" if kind == "SetQuery" else kind
        return _refused(f"{what} is not offered")
    if kind in ("Function", "ColumnsApplyTransformer", "TableFunction"):
        return _function(node, catalogue) or _right_of_in(node, scope)
    if kind in ("Identifier", "QueryParameter"):
        return _name(node, scope, catalogue)
    if kind in ("TableIdentifier", "ShowColumnsQuery", "ShowIndexesQuery"):
        return _table(_parts(node, scope), scope)
    return None


def _function(node: Tree, catalogue: Catalogue) -> Failure | None:
    name = node.get("name") or node.get("func_name")
    if node["type"] == "TableFunction":
        if name in TABLE_FUNCTIONS:
            return None
        return _refused(f"The table function {name} is not offered")
    if name is None or catalogue.offers(name):  # no name: APPLY of a lambda, whose tree follows
        return None
    if name.lower() in catalogue.withheld:
        return _refused(f"The function {name} is not offered")
    return Failure(46, f"Function with name `{name}` does not exist. (UNKNOWN_FUNCTION)")


def _right_of_in(node: Tree, scope: Scope) -> Failure | None:
    """A table's name may stand there; the parser cannot tell it from a column's."""
    arguments = node.get("arguments", {}).get("children", [])
    if node.get("name", "").lower() in _IN and arguments and arguments[-1]["type"] == "Identifier":
        return _table(_parts(arguments[-1], scope), scope)
    return None


def _name(node: Tree, scope: Scope, catalogue: Catalogue) -> Failure | None:
    if node["type"] == "Identifier":
        name = _parts(node, scope)[-1]  # perhaps a function passed by name
        return _refused(f"{name} is not offered") if name.lower() in catalogue.withheld else None
    value = scope.parameters.get(node["name"], "")
    if node["param_type"] != "Identifier" or _PLAIN.fullmatch(value):
        return None
    return _refused(f"A parameter {node['name']} that is no plain name is not offered")


def _table(parts: list[str], scope: Scope) -> Failure | None:
    database = parts[0] if len(parts) > 1 else scope.database
    if len(parts) > 2 or database == "default":
        return _refused(f"The table {'.'.join(parts)} is not offered")
    if database == "system" and parts[-1] not in SYSTEM_TABLES:
        return _refused(f"The table system.{parts[-1]} is not offered")
    return None


def _parts(node: Tree, scope: Scope) -> list[str]:
    """The parts of a name, each `{parameter:Identifier}` replaced by its value."""
    if "table" in node:
        return [part for part in (node.get("database"), node["table"]) if part]
    values = (
        scope.parameters.get(child["name"], "")
        for child in node.get("children", [])
        if child["type"] == "QueryParameter"
    )
    parts = (part or next(values, "") for part in node.get("name_parts", [node["name"]]))
    return ".".join(parts).split(".") if node.get("children") else list(parts)


def _format(name: str | None, catalogue: Catalogue) -> Failure | None:
    if name is None or name in catalogue.formats:
        return None
    return Failure(73, f"Unknown format {name}. (UNKNOWN_FORMAT)")


def _unquoted(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if name.startswith("`") else name


def _only_reading() -> Failure:
    return _refused("Only SELECT, SHOW, EXISTS and DESCRIBE of a table are offered")


def _refused(why: str) -> Failure:
    return Failure(READONLY, f"{why} by this read-only endpoint. (READONLY)")
