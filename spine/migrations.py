"""The SQL that makes the store's tables and views: what is in `spine/tables` and `spine/views`."""

import importlib.resources
import re

from spine.column_dictionary import dictionary_view

_MIGRATIONS, _VIEWS = "spine.tables", "spine.views"
_STATEMENT_END = re.compile(r";[ \t]*\n")
_COMMENT = re.compile(r"^--.*$", re.MULTILINE)


def migrations() -> dict[int, tuple[str, str]]:
    """Give every migration this program knows, in order: number → name and SQL."""
    return {int(name.split("_")[0]): (name, text) for name, text in _sql_files(_MIGRATIONS)}


def views() -> list[str]:
    """Give the statements that lay every view as it is now, each after those it reads."""
    laid = [part for _, text in _sql_files(_VIEWS) for part in statements(text)]
    return [*laid, dictionary_view()]


def statements(text: str) -> list[str]:
    """Cut a file into its statements; each ends with a semicolon at the end of a line."""
    parts = _STATEMENT_END.split(text + "\n")
    return [part.strip() for part in parts if _COMMENT.sub("", part).strip()]


def _sql_files(package: str) -> list[tuple[str, str]]:
    files = (f for f in importlib.resources.files(package).iterdir() if f.name.endswith(".sql"))
    return sorted((f.name.removesuffix(".sql"), f.read_text("utf-8")) for f in files)
