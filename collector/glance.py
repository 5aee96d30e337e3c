"""A look at bytes that have come, before they are parsed: is it one request as nearly all are?

What is turned away need not be understood, only where it ends. In doubt it is parsed.
"""

_START = b"POST /v1/events HTTP/1.1\r\n"
_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length: "
_KEY = b"\r\nauthorization: "
_STAYS = b"\r\nconnection: keep-alive\r\n"
_MOST_HEADERS = 50
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
    if head_end < 0 or not data.startswith(_START):
        return False
    head = data[: head_end + 2].lower()
    lines = head.count(b"\r\n")
    if lines > _MOST_HEADERS or head.count(b"\n") != lines or head.count(b"\r") != lines:
        return False
    if head.count(b"content-length") != 1 or _KEY not in head:
        return False
    if any(word in head for word in _DOUBTFUL):
        return False
    if b"connection:" in head and (head.count(b"connection:") > 1 or _STAYS not in head):
        return False
    length_at = head.find(_LENGTH) + len(_LENGTH)
    length = head[length_at : head.index(b"\r", length_at)] if length_at >= len(_LENGTH) else b""
    return length.isdigit() and len(data) == head_end + len(_END) + int(length)
