"""An encoder of TC strings that shares nothing with the decoder: text of ones and zeros."""

from collections.abc import Collection
from random import Random

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


def _ranges(vendors: Collection[int]) -> str:
    """Encode vendors as ranges, runs as one, in order."""
    runs: list[tuple[int, int]] = []
    for vendor in sorted(vendors):
        if runs and runs[-1][1] == vendor - 1:
            runs[-1] = (runs[-1][0], vendor)
        else:
            runs.append((vendor, vendor))
    entries = [
        f"0{first:016b}" if first == last else f"1{first:016b}{last:016b}" for first, last in runs
    ]
    return f"{len(entries):012b}" + "".join(entries)


def _any_vendors(random: Random) -> str:
    vendors = random.sample(range(1, 1200), random.choice([0, 1, 5, 80]))
    first = random.randrange(1, 900)
    vendors += range(first, first + random.choice([0, 2, 200]))
    if random.random() < 0.5:
        return vendor_bits(vendors)
    return f"{max(vendors, default=0):016b}1{_ranges(vendors)}"


def _any_set(random: Random, width: int) -> str:
    return _set(random.sample(range(1, width + 1), random.randrange(width + 1)), width)


def _any_publisher(random: Random) -> str:
    custom = random.choice([0, 0, 1, 5])
    bits = _any_set(random, 24) + _any_set(random, 24) + f"{custom:06b}"
    return "011" + bits + _any_set(random, custom) + _any_set(random, custom)


def encoded_anyhow(random: Random) -> str:
    """Encode a string of which every field is made up, with segments in any order."""
    letters = [f"{random.randrange(26):06b}" for _ in range(4)]
    tenths = [random.randrange(10**10, 3 * 10**10) for _ in range(2)]
    core = f"{2:06b}{tenths[0]:036b}{tenths[1]:036b}{random.randrange(2, 4096):012b}"
    core += f"{random.randrange(4096):012b}{random.randrange(64):06b}" + "".join(letters[:2])
    core += f"{random.randrange(4096):012b}{random.randrange(2, 6):06b}1{random.randrange(2)}"
    core += _any_set(random, 12) + _any_set(random, 24) + _any_set(random, 24)
    core += f"{random.randrange(2)}" + "".join(letters[2:])
    core += _any_vendors(random) + _any_vendors(random)
    wanted = random.sample(
        [(p, kind) for p in range(1, 12) for kind in range(3)], random.choice([0, 3])
    )
    core += f"{len(wanted):012b}"
    for purpose, kind in wanted:
        vendors = random.sample(range(1, 1200), random.randrange(1, 30))
        core += f"{purpose:06b}{kind:02b}{_ranges(vendors)}"
    segments = [
        "001" + _any_vendors(random),
        "010" + _any_vendors(random),
        _any_publisher(random),
    ]
    return ".".join(map(_text, [core, *random.sample(segments, random.randrange(4))]))
