-- The session of an order: the visitor's last one that began before and ended at most 24 h before.
-- The sessions of those who ordered are found by eight bytes of their digest; the join compares all.
CREATE OR REPLACE VIEW order_visits AS
SELECT
    o.*, s.touch != '' AND o.at <= s.ended_at + INTERVAL 24 HOUR AS in_session,
    s.started_at AS started_at, if(in_session, s.touch, '') AS touch
FROM (
    SELECT *, visitor_id AS visitor_key, ifNull(ordered_at, first_reported_at) AS at
    FROM orders FINAL
    WHERE orders.status != ''
) AS o
ASOF LEFT JOIN (
    SELECT visitor_id AS visitor_key, started_at, ended_at, touch
    FROM visitor_days FINAL
    ARRAY JOIN
        sessions_of_day.started_at AS started_at, sessions_of_day.ended_at AS ended_at,
        touches AS touch
    PREWHERE reinterpretAsUInt64(visitor_id) IN (SELECT reinterpretAsUInt64(visitor_id) FROM orders)
) AS s ON o.visitor_key = s.visitor_key AND o.at >= s.started_at;

-- Orders in another currency than their site's, and both rates of their day: the last ones before, at most
-- 7 days back. Where one is not known there is no row.
CREATE OR REPLACE VIEW order_rates AS
SELECT
    o.order_key AS order_key,
    if(o.currency = base, toDecimal64(1, 8), f.rate) AS from_rate,
    if(o.site_currency = base, toDecimal64(1, 8), u.rate) AS to_rate
FROM (
    SELECT
        s.order_key AS order_key, toString(s.currency) AS currency,
        toString(t.currency) AS site_currency, (SELECT toString(any(base)) FROM rates) AS base,
        toDate(substring(
            toString(assumeNotNull(s.ordered_at), if(t.timezone = '', 'UTC', t.timezone)), 1, 10
        )) AS ordered_on
    FROM orders AS s FINAL
    INNER JOIN (SELECT site, currency, timezone FROM sites FINAL) AS t ON s.site = t.site
    WHERE s.ordered_at IS NOT NULL AND s.currency != t.currency
) AS o
ASOF LEFT JOIN (SELECT toString(currency) AS currency, date, rate FROM rates FINAL) AS f
    ON o.currency = f.currency AND o.ordered_on >= f.date
ASOF LEFT JOIN (SELECT toString(currency) AS currency, date, rate FROM rates FINAL) AS u
    ON o.site_currency = u.currency AND o.ordered_on >= u.date
WHERE base != '' AND (o.currency = base OR (f.rate > 0 AND o.ordered_on - f.date <= 7))
    AND (o.site_currency = base OR (u.rate > 0 AND o.ordered_on - u.date <= 7));

-- An order is converted as a whole, refunds too, by the rates of its own day, each amount rounded to four
-- decimals before it is added to others. What is in the site's currency is not computed at all.
CREATE OR REPLACE VIEW order_money AS
SELECT
    o.*, t.timezone AS timezone, nullIf(CAST(t.currency, 'String'), '') AS converted_currency,
    o.currency = t.currency AS is_own, toDecimal256(r.to_rate, 8) AS to_rate,
    toDecimal256(if(r.from_rate > 0, r.from_rate, toDecimal64(1, 8)), 8) AS from_rate,
    multiIf(is_own, toDecimal128(o.gross, 4), r.from_rate > 0, toDecimal128(round(divideDecimal(
        multiplyDecimal(toDecimal256(o.gross, 4), to_rate, 12), from_rate, 12
    ), 4), 4), NULL) AS gross_converted,
    multiIf(is_own, toDecimal128(o.refunded, 4), r.from_rate > 0, toDecimal128(round(divideDecimal(
        multiplyDecimal(toDecimal256(o.refunded, 4), to_rate, 12), from_rate, 12
    ), 4), 4), NULL) AS refunded_converted
FROM order_visits AS o
LEFT ANY JOIN (SELECT site, currency, timezone FROM sites FINAL) AS t ON o.site = t.site
LEFT ANY JOIN order_rates AS r ON o.order_key = r.order_key;

CREATE OR REPLACE VIEW order_rows AS
SELECT
    o.site AS site, o.transaction_id AS transaction_id, o.ordered_at AS ordered_at,
    o.first_reported_at AS first_reported_at, o.currency AS currency, o.gross AS gross,
    o.refunded AS refunded, o.gross - o.refunded AS net, o.tax AS tax, o.shipping AS shipping,
    o.status AS status, o.verified AS verified, o.seen_browser AS seen_browser,
    o.seen_server AS seen_server, o.amounts_disagree AS amounts_disagree,
    o.currencies_disagree AS currencies_disagree, o.over_refunded AS over_refunded,
    o.negative_amount AS negative_amount, o.reversal_unverified AS reversal_unverified,
    o.visitor_key AS visitor_key,
    multiIf(
        p.person_key = toFixedString('', 16), o.visitor_key, empty(p.slices), p.person_key,
        arrayLast(x -> x.1 <= o.at, p.slices).2
    ) AS person_key,
    o.in_session AS in_session,
    if(
        in_session, lower(hex(sipHash128(o.visitor_key, toUnixTimestamp64Milli(o.started_at)))), ''
    ) AS session_id,
    o.gross_converted AS gross_converted, o.refunded_converted AS refunded_converted,
    o.converted_currency AS converted_currency
FROM order_money AS o
LEFT ANY JOIN person_rows AS p ON o.visitor_key = p.visitor_key;

-- The first order ever of a person is a new customer; orders without a visitor tell nothing, nor do
-- those of who is told by an id of the day, whose digest ends so. What is first is told by one text of
-- moment and id, which is compared several times faster than a pair of both.
CREATE OR REPLACE VIEW new_customer_rows AS
SELECT first_order FROM (
    SELECT argMin(o.order_key, concat(toString(o.at), o.transaction_id)) AS first_order
    FROM (
        SELECT
            order_key, transaction_id, assumeNotNull(ordered_at) AS at, visitor_id AS visitor_key
        FROM orders FINAL
        WHERE ordered_at IS NOT NULL AND visitor_id != toFixedString('', 16)
            AND substring(visitor_id, 11) != 'of_day'
    ) AS o
    LEFT ANY JOIN (
        SELECT * FROM person_rows
        WHERE reinterpretAsUInt64(visitor_key) IN (
            SELECT reinterpretAsUInt64(visitor_id) FROM orders
        )
    ) AS p ON o.visitor_key = p.visitor_key
    GROUP BY multiIf(
        p.person_key = toFixedString('', 16), o.visitor_key, empty(p.slices), p.person_key,
        arrayLast(x -> x.1 <= o.at, p.slices).2
    )
)
WHERE first_order NOT IN (SELECT order_key FROM repeat_orders);

CREATE OR REPLACE VIEW v_orders AS
SELECT
    site, transaction_id, ordered_at, currency, gross, refunded, net, tax, shipping, status,
    verified, seen_browser, seen_server,
    if(visitor_key = toFixedString('', 16), NULL, lower(hex(visitor_key))) AS visitor_id,
    if(visitor_key = toFixedString('', 16), NULL, lower(hex(person_key))) AS person_id,
    nullIf(session_id, '') AS session_id, amounts_disagree, currencies_disagree, over_refunded,
    negative_amount, reversal_unverified, gross_converted, refunded_converted,
    gross_converted - refunded_converted AS net_converted, converted_currency
FROM order_rows;

-- Which report gave each field of an order. Once an event is gone, it has no id any more.
CREATE OR REPLACE VIEW v_order_provenance AS
SELECT
    p.site AS site, p.transaction_id AS transaction_id, p.field AS field, p.value AS value,
    p.channel AS channel, nullIf(e.event_id, '') AS event_id,
    if(e.event_id = '', NULL, toString(e.name)) AS name,
    if(e.event_id = '', NULL, e.occurred_at) AS occurred_at
FROM (
    SELECT
        site, transaction_id, toString(field) AS field, toString(channel) AS channel, identity,
        multiIf(
            field = 'currency', toString(currency), field = 'gross', toString(gross),
            field = 'ordered_at', toString(ordered_at), field = 'shipping', toString(shipping),
            field = 'tax', toString(tax), lower(hex(visitor_id))
        ) AS value
    FROM orders FINAL
    ARRAY JOIN
        provenance.field AS field, provenance.identity AS identity, provenance.channel AS channel
    WHERE status != ''
) AS p
LEFT ANY JOIN (
    SELECT
        toString(site) AS site, assumeNotNull(transaction_id) AS transaction_id, identity, event_id,
        name, occurred_at
    FROM events
    WHERE name IN ('purchase', 'update_order', 'refund', 'cancel_order')
        AND transaction_id IS NOT NULL
) AS e ON p.site = e.site AND p.transaction_id = e.transaction_id AND p.identity = e.identity;
