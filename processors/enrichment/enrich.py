"""What is added to an event before it lands: all of it, in order. Pure, of the record and what its
site is set to; nothing is asked of anybody, and no step knows what another one found.

A new step is a function here, its name in `Added`, and its column in `processors.rows`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from processors.enrichment.campaign import Touch
from processors.enrichment.campaign import touch as touch_of
from processors.enrichment.client import Client
from processors.enrichment.client import client as client_of
from processors.site import Site
from spine.record import EventRecord

NO_TOUCH = Touch("", "", "", "", "", "", "", "")


class Added(NamedTuple):
    """What the steps add, each under its own name."""

    client: Client
    touch: Touch
    conversion: str
    step: int


def client(record: EventRecord, _site: Site) -> Client:
    """The visitor's device, browser and system, and the bot that it was taken for."""
    return client_of(record.user_agent, record.client_hints)


def touch(record: EventRecord, site: Site) -> Touch:
    """What brought the visitor to this page: campaign, click id, referrer, and their channel group;
    neither the site itself nor whom it ignores."""
    page = record.event.page
    if page is None:
        return NO_TOUCH
    return touch_of(page.url or "", page.referrer or "", site.quiet_hosts) or NO_TOUCH


def conversion(record: EventRecord, site: Site) -> str:
    """The kind of conversion that the event is at its site; '' for none. Orders are told apart, and
    what was read in a file is nobody's doing."""
    return "" if "imported" in record.flags else site.conversions.get(record.event.name, "")


def step(record: EventRecord, site: Site) -> int:
    """The place of the event in the funnel of its site, from 1; 0 for none."""
    return site.funnel.get(record.event.name, 0)


STEPS: tuple[Callable[[EventRecord, Site], Any], ...] = (client, touch, conversion, step)


def enriched(record: EventRecord, site: Site) -> Added:
    """Take an event through all steps."""
    return Added._make([add(record, site) for add in STEPS])
