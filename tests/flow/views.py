"""What the views show of a site, in the model's terms."""

from decimal import Decimal

from spine.store import Store
from tests.flow.derive_model import OrderState, Outcome, Session


async def found(store: Store, site: str) -> Outcome:
    """Read a site's sessions, orders and persons through the views, in the model's terms."""
    sessions = await store.select(
        "SELECT visitor_id, toUnixTimestamp64Milli(started_at), toUnixTimestamp64Milli(ended_at),"
        " events, page_views, engaged, source, medium, landing_page, purchases, revenue, session_id"
        " FROM v_sessions WHERE site = {site:String}",
        {"site": site},
    )
    started = {row[-1]: row[1] for row in sessions}
    orders = await store.select(
        "SELECT transaction_id, toUnixTimestamp64Milli(ordered_at), currency, gross, refunded, tax,"
        " shipping, status, verified, seen_browser, seen_server, visitor_id, session_id"
        " FROM v_orders WHERE site = {site:String} ORDER BY transaction_id",
        {"site": site},
    )
    persons: dict[str, set[tuple[str, str]]] = {}
    for kind, name, person in await store.select(
        "SELECT identifier_type, identifier, person_id FROM v_persons WHERE site = {site:String}",
        {"site": site},
    ):
        persons.setdefault(person, set()).add((kind, name))
    return Outcome(
        sorted(
            Session._make([*row[:5], bool(row[5]), *row[6:10], Decimal(row[10])])
            for row in sessions
        ),
        [
            OrderState._make([*row[:8], *map(bool, row[8:11]), row[11], started.get(row[12])])
            for row in orders
        ],
        {member: frozenset(group) for group in persons.values() for member in group},
    )
