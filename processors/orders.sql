-- The state of the touched orders, from all their reports in any order of arrival.
--
-- Copies of a report change nothing: what counts is the earliest of its kind, and of refunds one per
-- event; of a browser and a server report of it the server's amounts stand; one whose amount is
-- unknown (items without a price) counts as nothing, but the status tells.
-- An order is what its earliest purchase report of the better source says: money from a server
-- report if there is one, the visitor from a browser report if there is one.
WITH
told AS (
    SELECT
        r.order_key AS order_key, any(r.site) AS site, any(r.transaction_id) AS transaction_id,
        min(r.occurred_at) AS first_reported_at,
        max(r.channel = 'browser') AS seen_browser, max(r.channel = 'server') AS seen_server,
        argMin(r.currency, (r.name != 'purchase', r.channel = 'browser', r.occurred_at, r.identity))
            AS currency,
        countIf(r.name = 'purchase') > 0 AS is_purchased,
        minIf(r.occurred_at, r.name = 'purchase') AS purchased_at,
        argMinIf(
            (r.value, r.tax, r.shipping, toString(r.channel)),
            (r.channel = 'browser', r.occurred_at, r.identity), r.name = 'purchase'
        ) AS money,
        argMinIf(
            (r.visitor_id, toString(r.channel)),
            (r.visitor_id = toFixedString('', 16), r.channel = 'server', r.occurred_at, r.identity),
            r.name = 'purchase'
        ) AS visitor,
        maxIf(r.channel = 'server', r.name = 'purchase') AS verified,
        arraySort(groupArrayIf(
            (r.event_key, r.channel = 'browser', r.occurred_at, r.identity, r.value, r.is_full),
            r.name = 'refund'
        )) AS reports
    FROM order_facts AS r
    WHERE r.order_key IN {order_keys} AND {kept}
    GROUP BY r.order_key
),
known AS (
    SELECT
        t.*, if(t.is_purchased, t.purchased_at, NULL) AS ordered_at,
        if(t.is_purchased, t.money.1, NULL) AS gross,
        arrayFilter(
            (report, nth) -> nth = 1, t.reports, arrayEnumerateUniq(t.reports.1)
        ) AS refunds,
        arrayExists(is_full -> is_full = 1, refunds.6) AS is_full,
        arraySum(amount -> ifNull(amount, 0), refunds.5) AS amount
    FROM told AS t
)
SELECT
    k.order_key, k.site, k.transaction_id, k.ordered_at, k.first_reported_at, k.currency, k.gross,
    if(k.is_full, k.gross, k.amount) AS refunded, k.money.2, k.money.3,
    multiIf(
        k.ordered_at IS NULL, 'awaiting_purchase',
        k.is_full OR (refunded > 0 AND refunded >= k.gross), 'refunded',
        notEmpty(k.refunds), 'partially_refunded',
        'purchased'
    ) AS status,
    k.verified, k.seen_browser, k.seen_server, k.money.4, k.visitor.2, k.visitor.1, {token}
FROM known AS k
