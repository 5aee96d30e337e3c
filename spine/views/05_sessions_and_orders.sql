CREATE OR REPLACE VIEW v_sessions AS
SELECT
    s.site AS site, s.session_id AS session_id, lower(hex(s.visitor_key)) AS visitor_id,
    lower(hex(multiIf(
        p.person_key = toFixedString('', 16), s.visitor_key, empty(p.slices), p.person_key,
        arrayLast(x -> x.1 <= s.started_at, p.slices).2
    ))) AS person_id,
    s.started_at AS started_at, s.ended_at AS ended_at,
    (toUnixTimestamp64Milli(s.ended_at) - toUnixTimestamp64Milli(s.started_at)) / 1000 AS duration_s,
    s.engaged AS engaged, s.events AS events, s.page_views AS page_views,
    o.purchases AS purchases, o.revenue AS revenue, t.currency AS currency,
    CAST(s.channel_group, 'String') AS channel_group, CAST(s.source, 'String') AS source,
    CAST(s.medium, 'String') AS medium, CAST(s.campaign, 'String') AS campaign,
    s.landing_page AS landing_page, if(s.device = '', 'unknown', s.device) AS device,
    substring(s.place, 1, 2) AS country, if(length(s.place) > 3, s.place, '') AS region,
    o.revenue_converted AS revenue_converted, o.unconverted AS purchases_unconverted
FROM session_rows AS s
LEFT ANY JOIN (SELECT site, currency FROM sites FINAL) AS t ON s.site = t.site
LEFT ANY JOIN (
    SELECT
        r.visitor_key AS visitor_key, r.started_at AS started_at,
        countIf(r.ordered_at IS NOT NULL) AS purchases,
        sumIf(ifNull(r.gross, 0), r.is_own) AS revenue,
        sumIf(ifNull(r.gross_converted, 0), r.ordered_at IS NOT NULL) AS revenue_converted,
        countIf(r.ordered_at IS NOT NULL AND r.gross_converted IS NULL) AS unconverted
    FROM order_money AS r
    WHERE r.in_session
    GROUP BY r.visitor_key, r.started_at
) AS o ON s.visitor_key = o.visitor_key AND s.started_at = o.started_at
LEFT ANY JOIN person_rows AS p ON s.visitor_key = p.visitor_key;
