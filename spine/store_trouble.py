"""Where the store's drivers' exceptions end: what may pass is `Unavailable`, the rest is a bug.

What an operator must mend is told apart where the store is opened, as `Misconfigured`.
"""

import contextlib
from collections.abc import Iterator

from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from spine.errors import Unavailable

# Codes that a running server gives and takes back by itself: time-outs, memory, too many parts,
# read-only, disk full, network, keeper. Source: ClickHouse, src/Common/ErrorCodes.cpp.
_PASSING = frozenset(
    {3, 23, 74, 75, 76, 159, 164, 173, 198, 202, 203, 204, 209, 210, 216, 225, 236, 241, 242, 243}
    | {252, 279, 285, 286, 319, 342, 364, 394, 425, 439, 499, 516, 574, 693, 700, 735, 999, 1000}
)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Let trouble that may pass out as `Unavailable`. Raises: Unavailable."""
    try:
        yield
    except OperationalError as error:
        raise Unavailable(f"the store cannot be reached: {brief(error)}", 2) from error
    except DatabaseError as error:
        if getattr(error, "code", None) in _PASSING or _is_of_a_proxy(error):
            raise Unavailable(f"the store cannot take this now: {brief(error)}", 2) from error
        raise
    except OSError as error:  # the driver hands an insert to chDB as a file in data_dir
        raise Unavailable(f"the store cannot take this now: {brief(error)}", 2) from error


def _is_of_a_proxy(error: DatabaseError) -> bool:
    """Say whether something on the way to ClickHouse answered: then no code of its own is there."""
    return getattr(error, "code", None) is None and str(error).startswith("HTTP driver received")


def brief(error: Exception) -> str:
    """Give an exception's text as one bounded line."""
    return " ".join(str(error).split())[:300]
