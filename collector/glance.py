"""A look at bytes that have come, before they are parsed: is it one request as nearly all are?

What is turned away need not be understood, only where it ends. In doubt it is parsed.
"""

from functools import lru_cache

_START = b"POST /v1/events HTTP/1.1\r\n"
_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length: "
_KEY = b"\r\nauthorization: "
_STAYS = b"\r\nconnection: keep-alive\r\n"
_MOST_HEADERS = 50
_MOST_DIGITS = 9
_NONE = -(10**9)
# Whoever stands before us may read these otherwise, however they are written.
_DOUBTFUL = (
    b"transfer-encoding",
    b"\r\norigin",
    b"\r\nexpect",
    b"\r\nupgrade",
    b"\r\n ",
    b"\r\n\t",
)


def is_plain(data: bytes) -> bool:
    """Say whether this is one whole POST of events, of a sender that has a key in a header, that
    keeps its connection and sends no origin; nothing is said about its body."""
    head_end = data.find(_END)
    return head_end >= 0 and len(data) == head_end + len(_END) + _length(data[: head_end + 2])


@lru_cache(maxsize=4096)  # who sends much, sends the same heads again and again
def _length(head: bytes) -> int:
    """Give how long the body is behind a plain head, and behind any other what no body is."""
    if not head.startswith(_START):
        return _NONE
    head = head.lower()
    lines = head.count(b"\r\n")
    if lines > _MOST_HEADERS or head.count(b"\n") != lines or head.count(b"\r") != lines:
        return _NONE
    if head.count(b"content-length") != 1 or _KEY not in head:
        return _NONE
    if any(word in head for word in _DOUBTFUL):
        return _NONE
    if b"connection:" in head and (head.count(b"connection:") > 1 or _STAYS not in head):
        return _NONE
    length_at = head.find(_LENGTH) + len(_LENGTH)
    length = head[length_at : head.index(b"\r", length_at)] if length_at >= len(_LENGTH) else b""
    return int(length) if length.isdigit() and len(length) <= _MOST_DIGITS else _NONE
