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

CREATE OR REPLACE VIEW order_rows AS
SELECT
    o.site AS site, o.transaction_id AS transaction_id, o.ordered_at AS ordered_at,
    o.first_reported_at AS first_reported_at, o.currency AS currency, o.gross AS gross,
    o.refunded AS refunded, o.gross - o.refunded AS net, o.tax AS tax, o.shipping AS shipping,
    o.status AS status, o.verified AS verified, o.seen_browser AS seen_browser,
    o.seen_server AS seen_server, o.visitor_key AS visitor_key,
    if(p.person_key = toFixedString('', 16), o.visitor_key, p.person_key) AS person_key,
    o.in_session AS in_session,
    if(
        in_session, lower(hex(sipHash128(o.visitor_key, toUnixTimestamp64Milli(o.started_at)))), ''
    ) AS session_id
FROM order_visits AS o
LEFT ANY JOIN person_rows AS p ON o.visitor_key = p.visitor_key;

-- The first order ever of a person is a new customer; orders without a visitor tell nothing, nor do
-- those of who is told by an id of the day, whose digest ends so.
CREATE OR REPLACE VIEW new_customer_rows AS
SELECT first_order FROM (
    SELECT argMin(o.order_key, (o.at, o.transaction_id)) AS first_order
    FROM (
        SELECT
            order_key, transaction_id, assumeNotNull(ordered_at) AS at, visitor_id AS visitor_key
        FROM orders FINAL
        WHERE ordered_at IS NOT NULL AND visitor_id != toFixedString('', 16)
            AND substring(visitor_id, 11) != 'of_day'
    ) AS o
    LEFT ANY JOIN person_rows AS p ON o.visitor_key = p.visitor_key
    GROUP BY if(p.person_key = toFixedString('', 16), o.visitor_key, p.person_key)
)
WHERE first_order NOT IN (SELECT order_key FROM repeat_orders);

CREATE OR REPLACE VIEW v_orders AS
SELECT
    site, transaction_id, ordered_at, currency, gross, refunded, net, tax, shipping, status,
    verified, seen_browser, seen_server,
    if(visitor_key = toFixedString('', 16), NULL, lower(hex(visitor_key))) AS visitor_id,
    if(visitor_key = toFixedString('', 16), NULL, lower(hex(person_key))) AS person_id,
    nullIf(session_id, '') AS session_id
FROM order_rows;
