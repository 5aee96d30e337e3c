"""What of a site's settings shapes its rows."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from processors.rulebook import Rulebook
from spine.settings import SiteSettings


def places(steps: Sequence[str]) -> Mapping[str, int]:
    """Number the steps of a funnel from 1."""
    return {name: nth for nth, name in enumerate(steps, 1)}


class Site(NamedTuple):
    """What of a site's settings shapes its rows; without its rules nobody is judged again.

    Shape: to come from one of `quiet_hosts` is no touch: its own, and those it ignores.
    `conversions` has their kinds by the events' names."""

    quiet_hosts: frozenset[str] = frozenset()
    conversions: Mapping[str, str] = {"generate_lead": "lead"}
    rules: Rulebook | None = None
    funnel: Mapping[str, int] = places(SiteSettings().funnel_steps)
    counts_bots: bool = False
    asks_servers: bool = False
