"""What a worker and its parent say to each other: lines of JSON over a socket that only they have.

The first line to a worker is its settings, so that no secret stands on a command line and a worker
that is started again has the same ones. That the parent's end closes means: stop.
"""

from typing import Literal

import msgspec

MOST_LINE_BYTES = 64 << 20
About = Literal["readiness", "metrics"]


class Question(msgspec.Struct, frozen=True):
    """To a worker: say why it is not ready, or its metrics."""

    number: int
    about: About


class Ready(msgspec.Struct, frozen=True, tag=True):
    """From a worker: it takes requests."""


class Trouble(msgspec.Struct, frozen=True, tag=True):
    """From a worker: why it ends. `key` is empty when something is out of reach."""

    key: str
    why: str


class Answer(msgspec.Struct, frozen=True, tag=True):
    """From a worker, to the question of that number."""

    number: int
    text: str


def line(message: Question | Ready | Trouble | Answer) -> bytes:
    """Give a message as it is sent."""
    return msgspec.json.encode(message) + b"\n"
