"""Click ids: which parameters they are, and how none of them survives where it is not allowed.

Removing enforces consent: an id left behind is a broken promise, a word too much taken away is
not. So wherever the two are in doubt, more goes.

1. A name is found under every percent-encoding, however often repeated: names are looked for in
   the text decoded to its end (`_decoded`), each character of which knows its place in the text.
2. A value ends only at a delimiter that is not encoded more deeply than the value's own `=`; a
   delimiter encoded more deeply belongs to the value.
3. Names of five characters and more count as part of a longer name too (`first_gclid`); shorter
   ones only between characters that are neither letter nor digit, or words would be hurt.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from importlib import resources
from typing import NamedTuple
from urllib.parse import unquote

import msgspec


class ClickId(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One parameter of one platform, as `click_ids.toml` explains the fields."""

    param: str
    platform: str
    source: str
    medium: str
    same_platform: tuple[str, ...] = ()
    is_id: bool = True
    names_person: bool = False
    cookie: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    sources: list[str]
    carriers: list[str]
    click_id: list[ClickId]


_FILE = msgspec.toml.decode(
    resources.files("spine").joinpath("click_ids.toml").read_bytes(), type=_File
)

CLICK_IDS: Sequence[ClickId] = tuple(_FILE.click_id)
"""Every known click id in the order of precedence."""

_NAMES = sorted(
    {name.lower() for known in CLICK_IDS for name in (known.param, known.cookie) if name}
    | set(_FILE.carriers)
)
_SHORT_NAMES = [name for name in _NAMES if len(name) < 5]
_LONG_NAMES = [name for name in _NAMES if len(name) >= 5]
_FLAT_NAMES = [name.replace("_", "") for name in _LONG_NAMES]


def _parts_of_all(names: Sequence[str]) -> Sequence[str]:
    """Give few parts of four letters so that each name has one in it."""
    left, parts = set(names), []
    while left:
        held = Counter(part for name in left for part in _fours(name))
        parts.append(min(held, key=lambda part: (-held[part], part)))
        left = {name for name in left if parts[-1] not in name}
    return parts


def _fours(name: str) -> set[str]:
    return {name[at : at + 4] for at in range(max(1, len(name) - 3))}


_PARTS = _parts_of_all(_FLAT_NAMES)
# u0026 and u003f: what JSON makes of & and ? in a text
_SHORT = (
    r"(?:(?<![^\W_])|(?<=u0026)|(?<=u003f))(?:" + "|".join(map(re.escape, _SHORT_NAMES)) + ")"
    r"(?![^\W_])"
)
# liFatId and li-fat-id are spellings of li_fat_id; a leading _ is part of the name
_LONG = "(?:" + "|".join(name[0] + name[1:].replace("_", "[_-]?") for name in _LONG_NAMES) + ")"
_NAME = re.compile(f"{_LONG}|{_SHORT}", re.IGNORECASE)
# Everything that repeats is bounded, so that a search takes linear time.
_REST = r"[\w.$+\[\]-]{0,64}"
_GAP = r"[\\\"'\s]{0,8}"
_PARAM = re.compile(
    rf"(?:{_LONG}{_REST}(?={_GAP}[=:])|{_SHORT}{_REST}(?=[\\\"']{{1,8}}\s?:|{_GAP}=))"
    rf"(?P<equals>{_GAP}[=:]\s?[\\\"']{{0,8}})",
    re.IGNORECASE,
)
_BEFORE_NAME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.$+[-\\"
_QUERY_END = re.compile(r"[&#\s\"<>]")
_MATRIX_END = re.compile(r"[&#\s\"<>;/?]")
_ESCAPE = re.compile("%[0-9a-f]{2}", re.IGNORECASE)
_HEX = frozenset("0123456789abcdefABCDEF")


class _Decoded(NamedTuple):
    """A text decoded to its end; `starts[i]` is where character i begins in the original, plus
    one entry for its end; `depths[i]` is how many times character i was encoded."""

    text: str
    starts: Sequence[int]
    depths: Sequence[int]


@lru_cache(maxsize=1024)  # there are few names
def is_click_id(name: str) -> bool:
    """Tell whether a value under this name may be a click id, or belongs to one."""
    plain = _decoded(name).text
    return _may_name_one(plain) and _NAME.search(plain) is not None


def without_click_ids(text: str) -> str:
    """Return the text without any click id parameter; without one, the very same text.

    Never raises, and takes time in proportion to the length of the text."""
    if not may_hold_a_parameter(text) or not may_hold_one(text):
        return text
    decoded = _decoded(text)
    kept: list[str] = []
    kept_to = 0
    for begin, end in _removed(decoded):
        kept.append(text[kept_to : decoded.starts[begin]])
        kept_to = decoded.starts[end]
    return "".join(kept) + text[kept_to:]


def may_hold_a_parameter(text: str) -> bool:
    """Say no of a text in which nothing can stand under a name: `without_click_ids` leaves it.

    The colon behind the scheme of an address is none: no scheme names a click id."""
    if "=" in text or "%" in text:
        return True
    return ":" in (text[8:] if text.startswith("https://") else text)


def may_hold_one(text: str) -> bool:
    """Say no, cheaply, of most texts without a click id: then no part of the text holds one either.

    Also of JSON as a whole: its own escapes touch none of the characters that are looked for."""
    once = unquote(text, "latin-1") if "%" in text else text
    return _may_name_one(once) or _ESCAPE.search(once) is not None


def _may_name_one(plain: str) -> bool:
    """Say no, at a fraction of the cost of the exact search, to nearly every text without one."""
    lower = plain.lower()
    flat = lower.replace("_", "").replace("-", "")
    for part in _PARTS:
        if part in flat and any(name in flat for name in _FLAT_NAMES):
            return True
    return any(name in lower for name in _SHORT_NAMES)


def _removed(decoded: _Decoded) -> Iterator[tuple[int, int]]:
    """Yield what has to go, as half-open ranges of decoded characters, apart and in order.

    One delimiter goes along, so that what is left is still a list of parameters."""
    text = decoded.text
    done = 0
    for begin, end in _neighbours_joined(text, _params(decoded)):
        before, after = text[done:begin][-1:], text[end : end + 1]
        if before in ("&", ";"):
            yield begin - 1, end
        elif after in ("&", ";"):
            yield begin, end + 1
        elif before in ("?", "#"):
            yield begin - 1, end
        else:
            yield begin, end
        done = end


def _neighbours_joined(text: str, ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    joined: tuple[int, int] | None = None
    for begin, end in ranges:
        if joined is None:
            joined = begin, end
        elif text[joined[1] : begin] in ("", "&", ";"):
            joined = joined[0], end
        else:
            yield joined
            joined = begin, end
    if joined is not None:
        yield joined


def _params(decoded: _Decoded) -> Iterator[tuple[int, int]]:
    text = decoded.text
    done = 0
    while (found := _PARAM.search(text, done)) is not None:
        begin = done + len(text[done : found.start()].rstrip(_BEFORE_NAME))
        depth = min(decoded.depths[found.start("equals") : found.end()])
        ends = _MATRIX_END if text[begin - 1 : begin] == ";" else _QUERY_END
        done = len(text)
        for delimiter in ends.finditer(text, found.end()):
            if decoded.depths[delimiter.start()] <= depth:
                done = delimiter.start()
                break
        yield begin, done


def _decoded(text: str) -> _Decoded:
    """Undo percent-encoding until none is left, in one pass.

    No two escapes overlap, so the order of undoing them does not matter, and a character that
    completes one with what is already undone can be taken up at once."""
    if "%" not in text:
        return _Decoded(text, range(len(text) + 1), bytes(len(text)))
    chars: list[str] = []
    starts: list[int] = []
    depths: list[int] = []
    for start, char in enumerate(text):
        chars.append(char)
        starts.append(start)
        depths.append(0)
        while chars[-1] in _HEX and len(chars) > 2 and chars[-3] == "%" and chars[-2] in _HEX:
            chars[-3:] = [chr(int(chars[-2] + chars[-1], 16))]
            depths[-3:] = [max(depths[-3:]) + 1]
            del starts[-2:]
    starts.append(len(text))
    return _Decoded("".join(chars), starts, depths)
