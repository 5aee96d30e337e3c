"""A store that has its tables: made once, and copied where a test begins with it.

A migration of a new store is two seconds of CPU. What a first start does by itself is told by
`test_main_job.py`, in both modes, which begins with nothing, as `test_store.py` does.
"""

import asyncio
import atexit
import functools
import shutil
import sys
import tempfile
from pathlib import Path

from spine.store import Store
from tests.nursery import run


def copy_store(to: Path) -> None:
    """Put an empty store with all tables at `to`, where chDB or its endpoint may open it."""
    shutil.copytree(_template(), to, symlinks=True)


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
