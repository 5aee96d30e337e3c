"""What lets a mutation end sooner: the engine is woken while it is under way.

A mutation is a task for each part of its table, those too that it does not touch. The engine begins
as many as it has room for, chDB four, and then sleeps for up to a second, although they are done in
milliseconds: 58 seconds for 400 parts, of which three were work.
"""

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

WAKES_EVERY_S = 0.02


def wake(client: Client, table: str) -> None:
    """Let the engine look for work of a table now; where it must not be told, it does so later."""
    try:
        # That it may expire rows again changes nothing, for no table of ours has them expire; but
        # whatever is told to go on is looked at at once.
        client.command(f"SYSTEM START TTL MERGES {table}")
    except DatabaseError:  # without the right to it, or nobody answers: who waits is told of that
        return
