import string
import time
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spine import click_ids
from spine.click_ids import (
    CLICK_IDS,
    is_click_id,
    may_hold_a_parameter,
    may_hold_one,
    without_click_ids,
)

PAGE = "https://www.shop.example/schuhe"
NAMES = [known.param for known in CLICK_IDS]
ID_CHARS = string.ascii_letters + string.digits + "-_."


def test_the_click_ids_are_in_the_order_of_precedence() -> None:
    assert " ".join(NAMES) == (
        "gclid gbraid wbraid dclid gclsrc gad_source fbclid msclkid ttclid li_fat_id twclid epik "
        "ScCid rdt_cid qclid yclid irclid awc mc_cid mc_eid _kx igshid"
    )


def test_what_is_no_id_and_who_is_a_person_is_said() -> None:
    assert [known.param for known in CLICK_IDS if not known.is_id] == ["gclsrc", "gad_source"]
    assert [known.param for known in CLICK_IDS if known.names_person] == ["mc_eid", "_kx"]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"{PAGE}?gclid=Cj0KCQ", PAGE),
        (f"{PAGE}?gclid=Cj0KCQ#top", f"{PAGE}#top"),
        (f"{PAGE}?a=1&gclid=Cj0KCQ&b=2", f"{PAGE}?a=1&b=2"),
        (f"{PAGE}?gclid=Cj0KCQ&b=2", f"{PAGE}?b=2"),
        (f"{PAGE}?gad_source=1&gbraid=0AAA&gclid=Cj0&b=2", f"{PAGE}?b=2"),
        (f"{PAGE}?b=2&fbclid=IwAR&gclid=Cj0", f"{PAGE}?b=2"),
        (f"{PAGE}?GCLID=Cj0KCQ&b=2", f"{PAGE}?b=2"),
        (f"{PAGE}?%67cl%49d=Cj0KCQ&b=2", f"{PAGE}?b=2"),
        (f"{PAGE}?%2567clid=Cj0KCQ&b=2", f"{PAGE}?b=2"),
        (f"{PAGE}?gclid%3DCj0KCQ&b=2", f"{PAGE}?b=2"),
        (f"{PAGE}?gclid=Cj0%26x%3D1&b=2", f"{PAGE}?b=2"),
        (f"{PAGE}?ScCid=a&sccid=b&b=2", f"{PAGE}?b=2"),
        (f"{PAGE}?gclid[]=a&b=2", f"{PAGE}?b=2"),
        (f"{PAGE}?first_gclid=a&b=2", f"{PAGE}?b=2"),
        (f"{PAGE}?_kx=abc.XY-z%3D&b=2", f"{PAGE}?b=2"),
        (f"{PAGE}?_gl=1*x*_gcl_aw*R0NMLjE.*_ga*MTI&b=2", f"{PAGE}?b=2"),
        (f"{PAGE}#gclid=Cj0KCQ", PAGE),
        (f"{PAGE}#/kasse?awc=12_3_a&b=2", f"{PAGE}#/kasse?b=2"),
        (f"{PAGE};gclid=Cj0KCQ;farbe=rot/36?b=2", f"{PAGE};farbe=rot/36?b=2"),
        (f"{PAGE}?a=1&amp;epik=dj0y", f"{PAGE}?a=1&amp"),
        (
            f"{PAGE}?redirect=https%3A%2F%2Fx%2F%3Fgclid%3Dabc%26c%3D3&b=2",
            f"{PAGE}?redirect=https%3A%2F%2Fx%2F%3Fc%3D3&b=2",
        ),
        (
            f"{PAGE}?redirect=https%253A%252F%252Fx%252F%253Fc%253D3%2526gclid%253Dabc&b=2",
            f"{PAGE}?redirect=https%253A%252F%252Fx%252F%253Fc%253D3&b=2",
        ),
        ("siehe https://x.example/?gclid=abc und mehr", "siehe https://x.example/ und mehr"),
        ('<a href="/x?gclid=abc">hin</a>', '<a href="/x">hin</a>'),
        ('{"gclid":"abc","b":2}', '{"","b":2}'),
        # in doubt more goes: what stands right before the name, what a ; may belong to
        ('{"u": "https://x/?a=1\\u0026awc=12_3"}', '{"u": "https://x/?a="}'),
        ("_fbc=fb.1.1700000000000.IwAR; farbe=rot", " farbe=rot"),
        (f"{PAGE}?gclid=abc;b=2&c=3", f"{PAGE}?c=3"),
        (f'{PAGE}?u=gclid%3D"abc%26def"', f'{PAGE}?u="'),
    ],
)
def test_click_ids_go_and_the_rest_stays(text: str, left: str) -> None:
    assert without_click_ids(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "",
        PAGE,
        f"{PAGE}?utm_source=google&utm_medium=cpc&utm_campaign=gr%C3%BCn+100%25",
        f"{PAGE}?q=100%&x=%zz&y=%2",
        "Epik High, live; Lawcare=3",
        "?gclid&gclidious",
        "gl=de&kx=1&lawcx=2&hawc=3",
        "%25252525 %E4%BD%A0 你好 \x00",
    ],
)
def test_without_a_click_id_the_text_stays_byte_for_byte(text: str) -> None:
    assert without_click_ids(text) == text


@given(st.text(st.characters(exclude_characters="=:")))
@example("%3")
def test_without_a_value_nothing_changes(text: str) -> None:
    if "%" not in text:
        assert without_click_ids(text) == text


def encoded(text: str, where: list[bool], times: int) -> str:
    """Encode some characters needlessly, then all that need it, so often."""
    chosen = where * len(text)
    result = "".join(
        f"%{ord(char):02x}" if odd else char for char, odd in zip(text, chosen, strict=False)
    )
    for _ in range(times):
        result = quote(result, safe="")
    return result


@given(
    known=st.sampled_from(NAMES),
    canary=st.text(ID_CHARS, min_size=12, max_size=80),
    upper=st.booleans(),
    where=st.lists(st.booleans(), min_size=1, max_size=8),
    inside=st.integers(0, 3),
    before=st.sampled_from(["?", "?a=1&", "#", "#a=1&", "#/x?", ";", ";a=1;", "?a=1&amp;", ""]),
    after=st.sampled_from(["", "&b=2", "#top", ";c=3", "&gclid=x", " "]),
    outer=st.sampled_from(["%s", "https://x.example/a?u=%s&z=1", '{"u": "%s"}', "/r;u=%s"]),
)
def test_no_value_of_a_click_id_survives_however_it_is_encoded(
    known: str,
    canary: str,
    upper: bool,
    where: list[bool],
    inside: int,
    before: str,
    after: str,
    outer: str,
) -> None:
    name = known.upper() if upper else known
    param = encoded(name, where, 0) + "=" + canary
    text = outer % encoded(f"https://y.example/{before}{param}{after}", [False], inside)
    assert canary in text
    left = without_click_ids(text)
    assert canary not in left
    assert without_click_ids(left) == left


PIECES = [*NAMES, "gcl", "id", "=", "&", "%", "25", "3D", "67", "?", ";", "#", "a", '"', ":", "\\"]


@given(st.text() | st.lists(st.sampled_from([*PIECES, "_", " ", "ü", "%253D", "%26"])).map("".join))
def test_any_text_can_be_asked(text: str) -> None:
    assert len(without_click_ids(text)) <= len(text)
    assert is_click_id(text) in (True, False)


@pytest.mark.parametrize(
    "piece",
    [
        *PIECES, "%25", "gclid=", "%67clid", "?%26gclid%3D", '"\\', "gclid%2520", "%2525awc;",
        "gclid: ", ";gclid=a/", "_", "%3d%26", "gclid'", "awc.", "%26gclid%3D\"",
    ],
)  # fmt: skip
def test_hostile_texts_take_time_in_proportion_to_their_length(piece: str) -> None:
    def took_s(text: str) -> float:
        began = time.thread_time()
        without_click_ids(text)
        return time.thread_time() - began

    short, long = (piece * (size // len(piece)) for size in (8_192, 65_536))
    took_short_s = min(took_s(short) for _ in range(3))
    # eight times the length; a quadratic search would take 64 times as long
    assert min(took_s(long) for _ in range(3)) < 30 * took_short_s + 0.005
    assert took_short_s < 0.25


@pytest.mark.parametrize(
    "name",
    [
        *NAMES, "GCLID", "%67clid", "%2567clid", "initial_gclid", "$initial_gclid", "context.gclid",
        "gclid_first", "liFatId", "li-fat-id", "_fbc", "fbc", "_gcl_aw", "_uetmsclkid", "_gl",
        "_scclid", "_aw_m_1234", "awc[0]",
    ],
)  # fmt: skip
def test_a_name_of_a_click_id_is_known_in_every_spelling(name: str) -> None:
    assert is_click_id(name)


@pytest.mark.parametrize("name", ["", "color", "lawcare", "gl", "kx", "epikur", "page", "click_x"])
def test_other_names_are_no_click_ids(name: str) -> None:
    assert not is_click_id(name)


MIXED = st.sampled_from(
    [*NAMES, "gcl_au", "_fbc", "https://", "http://", "=", ":", "%3D", "%253a", "%", "3d", "&", ";",
     "?", "/", "'", '"', " ", "_", "-", "a", "Cj0", "ref", "\\", "\n", "#", "u0026"]
)  # fmt: skip


@given(st.lists(MIXED, max_size=12).map("".join))
def test_a_quick_no_is_right(text: str) -> None:
    """Of whatever a text is made: where it is said without looking closely, nothing would go."""
    would_go = list(click_ids._removed(click_ids._decoded(text)))
    if would_go:
        assert may_hold_a_parameter(text)
        assert may_hold_one(text)
    if not may_hold_a_parameter(text):
        assert without_click_ids(text) is text


def test_every_name_has_one_of_the_parts_and_there_are_few() -> None:
    parts = click_ids._PARTS
    assert all(any(part in name for part in parts) for name in click_ids._FLAT_NAMES)
    assert len(parts) < len(click_ids._FLAT_NAMES) * 2 / 3
    assert not click_ids._NAME.search("https")
