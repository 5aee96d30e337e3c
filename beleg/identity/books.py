"""What `beleg identity` does: who is one person and why, and taking wrong evidence out of it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from beleg.commands import Say, known_site, opened_books, table
from beleg.owned import owned_store
from beleg.running import running
from processors.identity.component import components
from processors.identity.graph import KINDS, Slice, resolve
from processors.identity.splits import split, undo
from processors.identity.why import APART, Label, Step, Why, labels, why
from spine.digest import identifier_id
from spine.normal_form import email_sha256, phone_sha256
from spine.settings import Settings
from spine.store import Store

_GUARDS = {
    "two_users": "NOT joined: it would be a person of two user ids",
    "limit_exceeded": "NOT joined: it would be more than a person may have of a kind",
    "weak": "NOT joined: a page said so, and the site wants a server's word",
    "shared_device": "joined from then on: the device had been somebody else's",
    "joined": "joined",
    "known": "joined",
}
_PLAIN = {"email": email_sha256, "phone": phone_sha256}


class Named(NamedTuple):
    """An identifier as it was asked for."""

    kind: str
    value: str

    def key(self, site: str) -> bytes:
        """Give its digest."""
        return identifier_id(site, self.kind, self.value)

    def __str__(self) -> str:
        return f"{self.kind}={self.value}"


class Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two identifiers, `KIND=VALUE` each, of which evidence is not to count; `undo` takes it back.

    Shape: `why` is kept: a ticket's number, not a name."""

    site: str
    one: Annotated[str, Meta(max_length=300)]
    other: Annotated[str, Meta(max_length=300)]
    why: Annotated[str, Meta(max_length=200)] = ""
    undo: bool = False


def named(text: str) -> Named | None:
    """Read `KIND=VALUE`; an e-mail or a phone becomes its hash. None where it is not one."""
    kind, equals, value = text.partition("=")
    if kind in _PLAIN:
        hashed = _PLAIN[kind](value)
        return None if hashed is None else Named(f"{kind}_sha256", hashed)
    return Named(kind, value) if kind in KINDS and equals and value else None


async def show_why(settings: Settings, site: str, ends: tuple[Named, Named], say: Say) -> int:
    """Say why two identifiers are one person, or are not; give 0 if they are, else 1."""
    one, other = ends
    async with opened_books(settings) as store:
        await store.check_version()
        await known_site(settings, store, site)
        found = await why(store, one.key(site), other.key(site))
        known = await labels(store, {step.evidence.identity for step in found.steps})
    say(f"{one} and {other}: {_answer(found)}")
    names = {one.key(site): str(one), other.key(site): str(other)} | _names(known)
    for step in found.steps:
        say("")
        for line in _told(step, known, names):
            say(line)
    return 0 if found.person is not None else 1


def _answer(found: Why) -> str:
    if found.person is not None:
        return f"one person, {found.person.hex()}"
    if found.too_large:
        return "not one person: too many identifiers are connected with them, nobody is joined"
    if not found.steps:
        return "not one person: no evidence that counts leads from one to the other"
    return "not one person; this is between them"


def _names(known: Mapping[bytes, Label]) -> dict[bytes, str]:
    return {
        key: f"{kind}={value}"
        for label in known.values()
        for key, (kind, value) in label.identifiers.items()
    }


def _told(step: Step, known: Mapping[bytes, Label], names: Mapping[bytes, str]) -> Sequence[str]:
    event = known.get(step.evidence.identity)
    which = event.event_id if event else f"(gone) {step.evidence.identity.hex()}"
    at, to = (names.get(end, end.hex()) for end in (step.at, step.to))
    strength = "weaker" if step.evidence.channel == "browser" else "stronger"
    by = "imported" if event and event.is_imported else f"{step.evidence.channel} key"
    when = f"{_time(step.evidence.at_ms)} UTC"
    return [
        f"  {at}  –  {to}",
        f"    event {which}, {when}, {by} ({strength})",
        f"    {_GUARDS[step.verdict]}",
    ]


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


async def show(settings: Settings, site: str, asked: Named, say: Say) -> int:
    """Print all identifiers of a person, or of all persons of a device; give 0, or 1 where there is
    no evidence."""
    key = asked.key(site)
    async with opened_books(settings) as store:
        await store.check_version()
        await known_site(settings, store, site)
        component = next(
            (one for one in await components(store, {key}) if key in one.identifiers), None
        )
        if component is None:
            say(f"{asked}: no evidence, a person of its own: {key.hex()}")
            return 1
        if not component.is_whole:
            say(f"{asked}: a person of its own, because too many identifiers are connected with it")
            return 0
        found = resolve(component.evidence, component.kinds)
        known = await labels(store, {one.identity for one in component.evidence})
    persons = {one.person for one in found.slices[key]}
    names = _names(known)
    rows: list[tuple[Any, ...]] = [("person", "identifier", "from", "to")]
    rows += sorted(
        (turn.person.hex(), names.get(end, end.hex()), *on)
        for end, slices in found.slices.items()
        for turn, on in _turns(slices)
        if turn.person in persons
    )
    for line in table(rows):
        say(line)
    apart = sum(verdict in APART for _, verdict in found.verdicts)
    say(f"{len(found.verdicts)} pieces of evidence, of which guards kept {apart} from joining")
    return 0


def _turns(slices: Sequence[Slice]) -> Sequence[tuple[Slice, tuple[str, str]]]:
    ends = [*(one.since_ms for one in slices[1:]), None]
    times = [
        tuple("-" if at is None else _time(at) for at in (one.since_ms, until_ms))
        for one, until_ms in zip(slices, ends, strict=True)
    ]
    return [(one, (since, until)) for one, (since, until) in zip(slices, times, strict=True)]


async def take_split(store: Store, asked: Split) -> bool:
    """Split or undo in a store that can be written; False where there is nothing to. Raises:
    Unavailable."""
    one, other = named(asked.one), named(asked.other)
    if one is None or other is None:
        return False
    ends = one.key(asked.site), other.key(asked.site)
    if asked.undo:
        return await undo(store, asked.site, ends)
    return await split(store, asked.site, ends, asked.why)


async def splitting(settings: Settings, asked: Split, say: Say) -> int:
    """Take evidence out, or put it back, by the running process or alone; give 0, or 1 where there
    is none."""
    async with opened_books(settings) as store:
        await known_site(settings, store, asked.site)
    owner = running(settings)
    if owner is not None:
        done = (await owner.ask("/identity/splits", asked, 200, 404)).status == 200
    else:
        async with owned_store(settings) as store:
            done = await take_split(store, asked)
    if not done:
        say(
            f"{asked.one} and {asked.other} are not split"
            if asked.undo
            else f"no evidence names {asked.one} and {asked.other} together: `beleg identity why`"
            " shows what leads from one to the other"
        )
        return 1
    say("it counts again" if asked.undo else "it counts no more; --undo puts it back")
    return 0
