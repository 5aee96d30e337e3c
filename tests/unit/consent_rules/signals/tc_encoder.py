"""An encoder of TC strings that shares nothing with the decoder: text of ones and zeros."""

from collections.abc import Collection

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_NEW_MS = 1_780_272_000_000  # 2026-06-01
ALL_PURPOSES = frozenset(range(1, 12))


def _text(bits: str) -> str:
    bits += "0" * (-len(bits) % 6)
    return "".join(ALPHABET[int(bits[at : at + 6], 2)] for at in range(0, len(bits), 6))


def _set(members: Collection[int], width: int) -> str:
    return "".join("1" if n in members else "0" for n in range(1, width + 1))


def vendor_bits(vendors: Collection[int]) -> str:
    most = max(vendors, default=0)
    return f"{most:016b}0{_set(vendors, most)}"


def encoded(
    *,
    created_ms: int = _NEW_MS,
    updated_ms: int | None = None,
    policy: int = 5,
    specific: bool = True,
    consents: Collection[int] = ALL_PURPOSES,
    vendors: Collection[int] = (755,),
    disclosed: Collection[int] | None = (1, 755),
    publisher: Collection[int] | None = None,
    tail: str | None = None,
) -> str:
    """Encode a string; with `tail` the bits from the vendors on are these."""
    core = f"{2:06b}{created_ms // 100:036b}{(updated_ms or created_ms) // 100:036b}"
    core += f"{123:012b}{4:012b}{1:06b}{4:06b}{13:06b}{7:012b}{policy:06b}{specific:b}0"
    core += _set((), 12) + _set(consents, 24) + _set((), 24) + f"0{3:06b}{4:06b}"
    core += vendor_bits(vendors) + "0" * 17 + "0" * 12 if tail is None else tail
    segments = [_text(core)]
    if disclosed is not None:
        segments.append(_text("001" + vendor_bits(disclosed)))
    if publisher is not None:
        segments.append(_text("011" + _set(publisher, 24) + _set((), 24) + "0" * 6))
    return ".".join(segments)
