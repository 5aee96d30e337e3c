"""What every column of the published views is, for the documentation and for the store."""

import importlib.resources
import tomllib
from typing import NamedTuple


class Column(NamedTuple):
    """A column of a published view.

    Shape: `meaning` is a sentence, or how the column is computed."""

    view: str
    name: str
    type: str
    unit: str
    meaning: str


def columns() -> list[Column]:
    """Give every column of every published view, in their order."""
    text = importlib.resources.files("spine.views").joinpath("columns.toml").read_text("utf-8")
    return [
        Column(view, name, *told)
        for view, told_of in tomllib.loads(text).items()
        for name, told in told_of.items()
    ]


def dictionary_view() -> str:
    """Write the statement that lays the view `column_dictionary`."""
    rows = ",\n".join(f"    ({', '.join(map(_quoted, column))})" for column in columns())
    names = ", ".join(f"told.{nth} AS {name}" for nth, name in enumerate(Column._fields, 1))
    told = f"SELECT arrayJoin([\n{rows}\n]) AS told"
    return f"CREATE OR REPLACE VIEW column_dictionary AS\nSELECT {names}\nFROM ({told})"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
