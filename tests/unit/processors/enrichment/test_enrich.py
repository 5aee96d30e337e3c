"""What is added to an event, step by step."""

import msgspec

from processors.enrichment.client import Client
from processors.enrichment.enrich import NO_TOUCH, STEPS, Added, enriched
from processors.site import Site
from spine.event import Page
from tests.flow.happenings import Happening, record

SEEN = record(Happening("shop", "generate_lead", "e", 1_711_800_000_000, anonymous_id="a"))


def test_each_step_fills_the_field_of_its_name() -> None:
    assert tuple(step.__name__ for step in STEPS) == Added._fields


def test_a_bare_event_gets_what_can_be_told() -> None:
    assert enriched(SEEN, Site()) == Added(Client(), NO_TOUCH, "lead", 0)


def test_a_host_that_the_site_ignores_brings_nobody() -> None:
    back = msgspec.structs.replace(
        SEEN,
        event=msgspec.structs.replace(
            SEEN.event,
            page=Page("https://shop.example/thanks", "https://www.pay.house-bank.example/3ds"),
        ),
    )
    assert enriched(back, Site()).touch.source == "pay.house-bank.example"
    assert enriched(back, Site(frozenset({"house-bank.example"}))).touch == NO_TOUCH
