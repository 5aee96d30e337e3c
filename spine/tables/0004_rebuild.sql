-- What a rebuild needs: a note that it came to its end, and orders that may be gone.

-- The derive versions whose program has derived everything again.
CREATE TABLE IF NOT EXISTS rebuilds (version UInt32, ended_at DateTime64(3, 'UTC'))
ENGINE = ReplacingMergeTree(ended_at) ORDER BY version;

-- As before, without the orders that have no report any more: their status is empty.
CREATE OR REPLACE VIEW order_rows AS
SELECT
    o.site AS site, o.transaction_id AS transaction_id, o.ordered_at AS ordered_at,
    o.first_reported_at AS first_reported_at, o.currency AS currency, o.gross AS gross,
    o.refunded AS refunded, o.gross - o.refunded AS net, o.tax AS tax, o.shipping AS shipping,
    o.status AS status, o.verified AS verified, o.seen_browser AS seen_browser,
    o.seen_server AS seen_server, o.visitor_key AS visitor_key,
    if(p.person_key = toFixedString('', 16), o.visitor_key, p.person_key) AS person_key,
    s.session_id != '' AND o.at <= s.ended_at + INTERVAL 24 HOUR AS in_session,
    if(in_session, s.session_id, '') AS session_id,
    if(in_session, s.channel_group, '(unattributed)') AS channel_group,
    if(in_session, s.source, '(unattributed)') AS source,
    if(in_session, s.medium, '(unattributed)') AS medium,
    if(in_session, s.campaign, '(unattributed)') AS campaign
FROM (
    SELECT *, visitor_id AS visitor_key, ifNull(ordered_at, first_reported_at) AS at
    FROM orders FINAL
    WHERE orders.status != ''
) AS o
ASOF LEFT JOIN session_rows AS s ON o.visitor_key = s.visitor_key AND o.at >= s.started_at
LEFT ANY JOIN person_rows AS p ON o.visitor_key = p.visitor_key;
