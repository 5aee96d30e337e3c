"""Long chains of evidence, each link of which is one identifier more: read in few questions."""

from processors.identity.component import MOST, Component, components
from processors.identity.splits import split
from spine.digest import identifier_id
from spine.store import Row, Store
from tests.flow.happenings import Happening, records
from tests.flow.passage import process
from tests.flow.test_identity import expected, stored

NOON_MS = 1_711_800_000_000
LINKS = 600


class CountingStore(Store):
    """The real store, and how often it was asked."""

    def __init__(self, store: Store) -> None:
        super().__init__(store._writer, store._reader, store.path)
        self.asked = 0

    async def select_after_write(self, sql: str) -> list[Row]:
        self.asked += 1
        return await super().select_after_write(sql)


def chain(site: str, links: int) -> list[Happening]:
    """Devices and e-mails in turn, each on one event with the one before."""
    return [
        Happening(
            site, "login", f"e{number}", NOON_MS + number * 1000, "browser",
            f"a{(number + 1) // 2}", named=(("email_sha256", f"{1 + number // 2:064x}"),),
        )
        for number in range(links)
    ]  # fmt: skip


async def read_from_its_end(store: Store, site: str) -> tuple[Component, int]:
    counting = CountingStore(store)
    (found,) = await components(counting, {identifier_id(site, "anonymous_id", "a0")})
    return found, counting.asked


async def test_a_chain_is_read_whole_in_a_fraction_of_its_links(store: Store, site: str) -> None:
    told = chain(site, LINKS)
    await process(store, f"log-{site}", records(told))
    found, asked = await read_from_its_end(store, site)
    assert found.is_whole and len(found.identifiers) == LINKS + 1
    assert sorted(one.at_ms for one in found.evidence) == [one.at_ms for one in told]
    assert asked < LINKS / 5, "as many questions as links would stall every batch that touches it"
    more = told[0]._replace(event_id="more", at_ms=NOON_MS - 1)
    await process(store, f"log-{site}", records([more], first_offset=LINKS))
    assert await stored(store, site) == expected(site, [*told, more])


async def test_a_guess_does_not_lead_past_evidence_that_does_not_count(
    store: Store, site: str
) -> None:
    await process(store, f"log-{site}", records(chain(site, LINKS // 2)))
    ends = (
        identifier_id(site, "anonymous_id", "a60"),
        identifier_id(site, "email_sha256", f"{1 + 60:064x}"),
    )
    assert await split(store, site, ends, "a test")
    found, _ = await read_from_its_end(store, site)
    assert found.is_whole and len(found.identifiers) == len(found.evidence) + 1 == 2 * 60 + 1
    assert ends[0] in found.identifiers and ends[1] not in found.identifiers


async def test_a_chain_that_is_too_long_is_read_no_further(store: Store, site: str) -> None:
    await process(store, f"log-{site}", records(chain(site, 3 * MOST)))
    found, asked = await read_from_its_end(store, site)
    assert not found.is_whole and MOST < len(found.identifiers) < 2 * MOST
    assert asked < MOST / 5
