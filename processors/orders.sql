-- The state of the touched orders, from all their reports in any order of arrival: docs/orders.md.
--
-- reports   best first: a server's before a browser's, then corrections, the latest first, then all
--           else, the earliest first. Of each: is a browser's, is no correction, rank by time,
--           identity, name, currency, value, tax, shipping, event key, is of all, when, visitor
-- claims    what says how much the order is: each field is of the best one that names it, tax and
--           shipping of those in the order's currency
-- refunds   one per event: of a browser and a server report of it the server's stands
-- parts     refunds of a part that count: one whose amount is unknown (items without a price) counts
--           as nothing, and so does one in another currency; the status and a flag tell
-- reversals when the order became less, and by how much: each part, and what was left when all of it
--           was taken back. Their sum is what is refunded
WITH
told AS (
    SELECT
        r.order_key AS order_key, any(r.site) AS site, any(r.transaction_id) AS transaction_id,
        min(r.occurred_at) AS first_reported_at,
        max(r.channel = 'browser') AS seen_browser, max(r.channel = 'server') AS seen_server,
        arraySort(groupArray((
            r.channel = 'browser', r.name != 'update_order',
            toUnixTimestamp64Milli(r.occurred_at) * if(r.name = 'update_order', -1, 1), r.identity,
            toString(r.name), toString(r.currency), r.value, r.tax, r.shipping, r.event_key,
            r.is_full, r.occurred_at, r.visitor_id
        ))) AS reports
    FROM order_facts AS r
    WHERE r.order_key IN {order_keys} AND {kept}
    GROUP BY r.order_key
),
parted AS (
    SELECT
        t.*, arrayFilter(x -> x.5 = 'purchase', t.reports) AS purchases,
        notEmpty(purchases) AS is_purchased,
        arraySort(x -> (x.12, x.1, x.4), purchases)[1] AS first_purchase,
        arraySort(x -> (x.13 = toFixedString('', 16), NOT x.1, x.12, x.4), purchases)[1]
            AS by_visitor,
        arrayFilter(x -> x.5 IN ('purchase', 'update_order'), t.reports) AS claims,
        arrayFilter(x -> isNotNull(x.7), claims) AS priced,
        priced[1] AS by_gross, arrayConcat(priced, claims, t.reports)[1] AS by_currency,
        arrayFirst(x -> isNotNull(x.8) AND x.6 = by_currency.6, claims) AS by_tax,
        arrayFirst(x -> isNotNull(x.9) AND x.6 = by_currency.6, claims) AS by_shipping,
        arrayFilter(x -> x.5 = 'cancel_order', t.reports) AS cancellations,
        arrayFilter(x -> x.5 = 'refund', t.reports) AS told_refunds,
        arrayFilter(
            (x, nth) -> nth = 1, told_refunds, arrayEnumerateUniq(told_refunds.10)
        ) AS refunds,
        arrayFilter(x -> NOT x.11 AND x.6 = by_currency.6 AND isNotNull(x.7), refunds) AS parts,
        arraySort(arrayConcat(cancellations.12, arrayFilter(x -> x.11 = 1, refunds).12)) AS taken_back
    FROM told AS t
),
known AS (
    SELECT
        p.*, if(p.is_purchased, p.by_gross.7, NULL) AS gross,
        arraySum(x -> toDecimal128(assumeNotNull(x.7), 4), p.parts) AS parts_amount,
        if(notEmpty(p.taken_back), toDecimal128(gross, 4), parts_amount) AS refunded,
        p.is_purchased AND NOT if(isNull(gross), p.purchases[1].1, p.by_gross.1) AS verified,
        arrayFilter(x -> isNotNull(x.7), p.purchases) AS amounts,
        arrayFilter(x -> isNotNull(x.7) OR isNotNull(x.8) OR isNotNull(x.9), p.reports) AS moneys,
        arrayConcat(
            arrayMap(x -> (x.12, toDecimal128(assumeNotNull(x.7), 4)), p.parts),
            arrayMap(
                at -> (at, toDecimal128(ifNull(gross, 0), 4) - parts_amount),
                arraySlice(p.taken_back, 1, 1)
            )
        ) AS steps,
        [
            ('currency', p.by_currency), ('gross', p.by_gross), ('ordered_at', p.first_purchase),
            ('shipping', p.by_shipping), ('tax', p.by_tax), ('visitor', p.by_visitor)
        ] AS sources
    FROM parted AS p
)
SELECT
    k.order_key, k.site, k.transaction_id, if(k.is_purchased, k.first_purchase.12, NULL),
    k.first_reported_at, k.by_currency.6, k.gross, k.refunded,
    if(k.is_purchased, k.by_tax.8, NULL), if(k.is_purchased, k.by_shipping.9, NULL),
    multiIf(
        NOT k.is_purchased, 'awaiting_purchase',
        notEmpty(k.cancellations), 'cancelled',
        notEmpty(k.taken_back) OR (k.refunded > 0 AND k.refunded >= k.gross), 'refunded',
        notEmpty(k.refunds), 'partially_refunded',
        'purchased'
    ),
    k.verified, k.seen_browser, k.seen_server, k.by_visitor.13,
    arrayUniq(k.amounts.6, k.amounts.7) > 1, arrayUniq(k.moneys.6) > 1,
    ifNull(k.parts_amount > k.gross, 0),
    arrayExists(x -> ifNull(x.7 < 0, 0) OR ifNull(x.8 < 0, 0) OR ifNull(x.9 < 0, 0), k.reports),
    k.verified AND arrayExists(x -> x.1 = 1, arrayConcat(k.cancellations, k.refunds)),
    if(
        k.is_purchased AND isNotNull(k.refunded), arrayFilter(step -> step.2 != 0, k.steps), []
    ),
    arrayMap(
        source -> (source.1, source.2.4, if(source.2.1, 'browser', 'server')),
        arrayFilter(
            source -> source.2.4 != toFixedString('', 16)
                AND (k.is_purchased OR source.1 = 'currency')
                AND (source.1 != 'visitor' OR source.2.13 != toFixedString('', 16)),
            k.sources
        )
    ),
    {token}
FROM known AS k
