"""Other versions of the program: copies of its packages with something changed."""

import shutil
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("beleg", "collector", "consent_rules", "processors", "reports", "spine")


class Copy:
    """A copy of the program; under its `env`, `python -m beleg` is the copy."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        for room in ROOMS:
            leave_out = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / room, directory / room, ignore=leave_out)

    @property
    def env(self) -> Mapping[str, str]:
        return {"PYTHONPATH": str(self._directory), "PYTHONSAFEPATH": "1"}

    def changed(self, file: str, before: str, after: str) -> "Copy":
        """Replace a text that stands in a file once."""
        path = self._directory / file
        text = path.read_text("utf-8")
        assert text.count(before) == 1, (file, before)
        path.write_text(text.replace(before, after), "utf-8")
        return self

    def with_file(self, file: str, text: str) -> "Copy":
        (self._directory / file).write_text(text, "utf-8")
        return self
