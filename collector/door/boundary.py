"""Whether what comes next on a connection begins a request, and the parser holds nothing before it.

Only such bytes may be known as a head that came before, or be remembered as one. Of any others the
parser holds the beginning: it would be lost, or it would be remembered what these bytes mean behind
the beginning that one sender chose, and held against all who send the same.
"""

from collections.abc import Sequence

from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader

from collector.door.heads import missing

Parsed = Sequence[tuple[RawRequestMessage, StreamReader]]
"""What a parser found, each with its body."""


class Boundary:
    """The place of a parser between requests; once it is not sure, it never is again.

    Shape: sure are requests one after the other, of which each one's head comes whole."""

    __slots__ = ("_missing",)

    def __init__(self) -> None:
        self._missing: int | None = 0

    @property
    def is_here(self) -> bool:
        """Whether the next bytes begin a request."""
        return self._missing == 0

    def lose(self) -> None:
        """Be sure no more."""
        self._missing = None

    def follow(self, data: bytes, found: Parsed, *, upgraded: bool) -> None:
        """Take in what was parsed, and what the parser found in it."""
        if not data and not found:
            return
        left, self._missing = self._missing, None
        if upgraded or left is None:
            return
        if left > 0 and not found and len(data) <= left:
            self._missing = left - len(data)
        elif left == 0 and len(found) == 1:
            (message, body), more = found[0], missing(data)
            plain = not (message.chunked or message.upgrade)
            if plain and body.is_eof() == (more == 0):
                self._missing = more
