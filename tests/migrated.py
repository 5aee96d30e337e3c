"""A store that has its tables: made once, and copied where a test begins with it.

A migration of a new store is two seconds of CPU. What a first start does by itself is told by
`test_main_job.py`, in both modes, which begins with nothing, as `test_store.py` does.
"""

import asyncio
import atexit
import functools
import re
import shutil
import sys
import tempfile
from graphlib import TopologicalSorter
from pathlib import Path

from spine.store import DATABASE, Store
from tests.nursery import run

_NAMED = re.compile(rf"\b{DATABASE}\.(\w+)")


def copy_store(to: Path) -> None:
    """Put an empty store with all tables at `to`, where chDB or its endpoint may open it."""
    shutil.copytree(_template(), to, symlinks=True, dirs_exist_ok=True)


async def make_tables(store: Store, database: str) -> None:
    """Make in another database of a copied store what a migration ends in, without the way there.

    That it is the same, `test_migrate.py` says."""
    rows = await store.select(
        f"SELECT name, create_table_query FROM system.tables WHERE database = '{DATABASE}'"
    )
    made = {name: query for name, query in rows if not name.startswith(".")}
    asks = {name: {*_NAMED.findall(query)} & made.keys() - {name} for name, query in made.items()}
    for name in TopologicalSorter(asks).static_order():
        await store.command(_NAMED.sub(rf"{database}.\1", made[name]))
    await mark_migrated(store, database)


async def mark_migrated(store: Store, database: str) -> None:
    """Note in a database with tables that they are the last ones."""
    for table in ("migrations", "derive_versions"):
        await store.command(f"INSERT INTO {database}.{table} SELECT * FROM {DATABASE}.{table}")


@functools.cache
def _template() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="beleg-store-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    done = run("tests.migrated", str(directory))  # chDB takes one directory per process
    assert done.returncode == 0, done.stderr
    return directory / "store"


async def _make(data_dir: Path) -> None:
    store = await Store.open("embedded", data_dir)
    await store.migrate(lambda _: None)
    await store.close()


if __name__ == "__main__":
    asyncio.run(_make(Path(sys.argv[1])))
