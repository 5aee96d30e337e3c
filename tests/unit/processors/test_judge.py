"""Judging: every record one fate, the lowest position of an identity stored, nothing raised."""

from collections import Counter
from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from processors.judge import NOBODY, Passes, Reading, Seen, judge, read
from spine.digest import BLANKED
from spine.log import Record
from spine.record import EventRecord, TallyRecord, Unreadable, encode
from tests.flow.happenings import Happening, record

SMALL = [
    Happening("shop", "page_view", f"e{number}", number, channel=channel, path=path)
    for number in range(3)
    for channel in ("browser", "server")
    for path in ("/", "/other")
]
values = st.one_of(
    st.sampled_from(SMALL).map(lambda told: encode(record(told))),
    st.integers(0, 2).map(
        lambda number: encode(
            TallyRecord(collector="c", boot="b", sequence=number, received_ms=0, rows=())
        )
    ),
    st.binary(max_size=20).filter(lambda value: not value.startswith(BLANKED)),
)


def on_a_log(found: Sequence[bytes], first: int = 0) -> list[Record]:
    return [Record(0, first + number, value, 7) for number, value in enumerate(found)]


def without(forbidden: set[str], code: str) -> Passes:
    def passes(reading: Reading) -> Reading | str:
        content = reading.content
        is_forbidden = isinstance(content, EventRecord) and content.event_id in forbidden
        return code if is_forbidden else reading

    return passes


without_blanks = st.lists(values, max_size=20).map(on_a_log)
logs = st.lists(values | st.just(BLANKED + bytes(16)), max_size=20).map(on_a_log)


@given(without_blanks, st.sets(st.sampled_from(["e0", "e1", "e2"])))
def test_what_is_forbidden_is_erased_and_stands_in_nobodys_way(
    batch: list[Record], forbidden: set[str]
) -> None:
    """Only what has not landed: the fate of what has is known, unless its person was erased."""
    readings = read(batch)
    verdict = judge("log", readings, {}, without(forbidden, "withdrawn_before"))
    kept = [
        reading.record
        for reading in readings
        if not (isinstance(reading.content, EventRecord) and reading.content.event_id in forbidden)
    ]
    erased = [fate for fate in verdict.fates if fate.fate == "erased"]
    assert len(erased) == len(batch) - len(kept)
    assert {fate.identity for fate in erased} <= {NOBODY}
    others = [fate for fate in verdict.fates if fate.fate != "erased"]
    assert others == judge("log", read(kept), {}).fates
    landed = {
        reading.identity: Seen("log", 0, reading.record.offset, reading.body)
        for reading in reversed(readings)
        if isinstance(reading.content, EventRecord)
    }
    again = judge("log", readings, landed, without(forbidden, "withdrawn_before"))
    assert not [fate for fate in again.fates if fate.fate == "erased"]
    again = judge("log", readings, landed, without(forbidden, "erased_before"))
    assert [fate for fate in again.fates if fate.fate == "erased"] == [
        msgspec.structs.replace(one, code="erased_before") for one in erased
    ]


@given(logs)
def test_every_record_has_exactly_one_fate(batch: list[Record]) -> None:
    verdict = judge("log", read(batch), {})
    assert [fate.record for fate in verdict.fates] == batch
    fates = Counter(fate.fate for fate in verdict.fates)
    assert set(fates) <= {"stored", "duplicate", "rejected", "control", "erased"}
    assert fates["stored"] + fates["control"] == len(verdict.fresh)
    assert fates["rejected"] == len(verdict.rejected)
    landed = fates["stored"] + fates["control"]
    assert landed + fates["duplicate"] + fates["rejected"] + fates["erased"] == len(batch)
    assert verdict.landed == []


@given(logs)
def test_the_lowest_position_of_an_identity_is_stored(batch: list[Record]) -> None:
    verdict = judge("log", read(batch), {})
    first: dict[bytes, int] = {}
    for fate in verdict.fates:
        if fate.fate in ("stored", "control"):
            assert fate.identity not in first
            first[fate.identity] = fate.record.offset
        elif fate.fate == "duplicate":
            assert first[fate.identity] < fate.record.offset


@given(logs, st.data())
def test_cuts_and_crashes_change_no_fate(batch: list[Record], data: st.DataObject) -> None:
    """What is judged again after it landed has the fate it had, and is touched again."""
    whole = judge("log", read(batch), {})
    known: dict[bytes, Seen] = {}
    fates, at = [], 0
    while at < len(batch):
        cut = data.draw(st.integers(1, len(batch) - at))
        readings = read(batch[at : at + cut])
        verdict = judge("log", readings, known)
        for reading in verdict.fresh:
            position = reading.record
            known[reading.identity] = Seen("log", 0, position.offset, reading.body)
        if data.draw(st.booleans()):
            again = judge("log", readings, known)
            assert again.fates == verdict.fates
            assert again.fresh == []
            assert again.landed == verdict.fresh
            assert again.touched == verdict.touched
        fates += verdict.fates
        at += cut
    assert fates == whole.fates


def test_a_copy_and_a_conflict_are_told_apart() -> None:
    one, other = SMALL[0], SMALL[1]
    assert one.identity == other.identity
    batch = on_a_log([encode(record(told)) for told in (one, one, other)])
    codes = [(fate.fate, fate.code) for fate in judge("log", read(batch), {}).fates]
    assert codes == [
        ("stored", ""),
        ("duplicate", "duplicate_copy"),
        ("duplicate", "duplicate_conflict"),
    ]


def test_browser_and_server_copies_both_land() -> None:
    told = [SMALL[0], SMALL[0]._replace(channel="server")]
    verdict = judge("log", read(on_a_log([encode(record(one)) for one in told])), {})
    assert [fate.fate for fate in verdict.fates] == ["stored", "stored"]
    assert len(verdict.touched) == 2


def test_what_an_earlier_log_has_landed_is_a_duplicate_here() -> None:
    """Even at the same partition and offset."""
    (reading,) = read(on_a_log([encode(record(SMALL[0]))]))
    known = {reading.identity: Seen("earlier", 0, 0, reading.body)}
    verdict = judge("log", [reading], known)
    assert [(fate.fate, fate.code) for fate in verdict.fates] == [("duplicate", "duplicate_copy")]
    assert verdict.fresh == verdict.landed == []


def test_a_rejected_record_has_a_fate_without_a_name() -> None:
    verdict = judge("log", read(on_a_log([b"\xff", b""])), {})
    assert [(f.site, f.received_ms, f.identity, f.fate) for f in verdict.fates] == [
        ("", 7, NOBODY, "rejected")
    ] * 2
    assert all(isinstance(reading.content, Unreadable) for reading in verdict.rejected)
    assert verdict.touched == []


def test_touched_are_the_events_and_not_the_tallies() -> None:
    tally = TallyRecord(collector="c", boot="b", sequence=0, received_ms=0, rows=())
    batch = on_a_log([encode(tally), encode(record(SMALL[0]))])
    touched = judge("log", read(batch), {}).touched
    assert [isinstance(one, EventRecord) for one in touched] == [True]
