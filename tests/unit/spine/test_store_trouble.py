"""What of the drivers' trouble may pass, and what is a bug."""

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, ProgrammingError

from spine.errors import Unavailable
from spine.store_trouble import translated

GATEWAY = "HTTP driver received HTTP status 502, server response: <h1>Bad Gateway</h1>"


@pytest.mark.parametrize(
    "trouble",
    [
        OperationalError("HTTP driver received HTTP status 429"),
        DatabaseError("Code: 243. DB::Exception: no space", code=243),
        DatabaseError(GATEWAY),
        OSError(28, "No space left on device"),
    ],
)
def test_what_passes_by_itself_is_waited_for(trouble: Exception) -> None:
    with pytest.raises(Unavailable) as told, translated():
        raise trouble
    assert "\n" not in told.value.what


@pytest.mark.parametrize(
    "bug",
    [
        DatabaseError("Code: 62. DB::Exception: Syntax error", code=62),
        DatabaseError("chDB says something without a code"),
        ProgrammingError("The client has been closed"),
        ValueError("a column is shorter than the others"),
    ],
)
def test_anything_else_is_a_bug_and_is_let_through(bug: Exception) -> None:
    with pytest.raises(type(bug)) as told, translated():
        raise bug
    assert told.value is bug
