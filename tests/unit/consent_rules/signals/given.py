"""The cases with known answers, as they lie in `vectors/`."""

from pathlib import Path
from typing import Any

import msgspec

_VECTORS = Path(__file__).parent / "vectors"


def vectors(name: str) -> Any:
    return msgspec.json.decode((_VECTORS / f"{name}.json").read_bytes())
