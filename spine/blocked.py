"""Identifiers that name nobody: what shops send where they know no id. Pure."""

import re
from functools import lru_cache
from hashlib import sha256

_WORDS = (
    "null", "nil", "none", "undefined", "nan", "true", "false", "anonymous", "unknown", "guest",
    "n/a", "-1", "not set", "(not set)", "(none)", "[object object]", "unidentified",
    "not_authenticated", "user_id", "distinct_id",
)  # fmt: skip
"""Source: Segment, identity resolution settings (blocked values); PostHog, ids that are refused."""

_EMPTY = re.compile(r"[\s0\-.{}]*\Z")  # nothing, zeros, a UUID of zeros


def _hashes() -> frozenset[str]:
    texts = ["", " ", "0", "+", "@", *_WORDS]
    texts += [text.upper() for text in texts] + [text.capitalize() for text in texts]
    return frozenset(sha256(text.encode()).hexdigest() for text in texts)


_NAMELESS_HASHES = _hashes()


@lru_cache(maxsize=8192)  # the events of a visitor come in a row
def names_nobody(identifier: str) -> bool:
    """Say whether an identifier, or what it is the SHA-256 of, stands for no one in particular."""
    return (
        identifier.strip().lower() in _WORDS
        or _EMPTY.match(identifier) is not None
        or identifier.lower() in _NAMELESS_HASHES
    )
