"""Files that are whole and on disk when a call returns."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Return once the file has this content and is on disk; whoever reads it meanwhile, or after a
    power cut, finds the old content or the new one; its owner alone may. Raises: OSError."""
    aside = path.with_suffix(".new")
    with open(aside, "wb", opener=_for_the_owner) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    sync_directory(path.parent)


def _for_the_owner(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def sync_directory(path: Path) -> None:
    """Return once the names in a directory are on disk. Raises: OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
