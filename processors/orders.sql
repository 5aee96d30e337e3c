-- The state of the touched orders, from all their reports in any order of arrival.
--
-- reports   one per identity; a re-landed copy is the same report
-- refunds   one per event: of a browser and a server report the server's amounts stand; one whose
--           amount is unknown (items without a price) counts as nothing, but the status tells
-- An order is what its earliest purchase report of the better source says: money from a server
-- report if there is one, the visitor from a browser report if there is one.
WITH
reports AS (
    SELECT DISTINCT
        order_key, site, transaction_id, name, occurred_at, identity, event_key, channel,
        visitor_id, currency, value, tax, shipping, is_full
    FROM order_facts
    WHERE order_key IN {order_keys}
),
purchases AS (
    SELECT
        r.order_key AS order_key, min(r.occurred_at) AS ordered_at,
        argMin(
            (r.currency, r.value, r.tax, r.shipping, toString(r.channel)),
            (r.channel = 'browser', r.occurred_at, r.identity)
        ) AS money,
        argMin(
            (r.visitor_id, toString(r.channel)),
            (r.visitor_id = toFixedString('', 16), r.channel = 'server', r.occurred_at, r.identity)
        ) AS visitor,
        max(r.channel = 'server') AS verified
    FROM reports AS r
    WHERE r.name = 'purchase'
    GROUP BY r.order_key
),
refunds AS (
    SELECT
        u.order_key AS order_key, sum(ifNull(u.amount.1, 0)) AS amount,
        max(u.amount.2) AS is_full
    FROM (
        SELECT
            r.order_key AS order_key, r.event_key AS event_key,
            argMin((r.value, r.is_full), (r.channel = 'browser', r.occurred_at, r.identity)) AS amount
        FROM reports AS r
        WHERE r.name = 'refund'
        GROUP BY r.order_key, r.event_key
    ) AS u
    GROUP BY u.order_key
),
known AS (
    SELECT
        r.order_key AS order_key, any(r.site) AS site, any(r.transaction_id) AS transaction_id,
        min(r.occurred_at) AS first_reported_at,
        max(r.channel = 'browser') AS seen_browser, max(r.channel = 'server') AS seen_server,
        argMin(r.currency, (r.name != 'purchase', r.channel = 'browser', r.occurred_at, r.identity))
            AS currency
    FROM reports AS r
    GROUP BY r.order_key
)
SELECT
    k.order_key, k.site, k.transaction_id,
    if(p.order_key = k.order_key, p.ordered_at, NULL) AS ordered_at,
    k.first_reported_at, k.currency,
    if(p.order_key = k.order_key, p.money.2, NULL) AS gross,
    if(u.is_full, gross, if(u.order_key = k.order_key, u.amount, 0)) AS refunded,
    p.money.3, p.money.4,
    multiIf(
        ordered_at IS NULL, 'awaiting_purchase',
        u.is_full OR (refunded > 0 AND refunded >= gross), 'refunded',
        u.order_key = k.order_key, 'partially_refunded',
        'purchased'
    ) AS status,
    p.verified, k.seen_browser, k.seen_server, p.money.5, p.visitor.2, p.visitor.1, {token}
FROM known AS k
LEFT JOIN purchases AS p ON k.order_key = p.order_key
LEFT JOIN refunds AS u ON k.order_key = u.order_key
