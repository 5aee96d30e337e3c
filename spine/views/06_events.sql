-- Keys of events that both a browser and a server reported: the ids of the servers' events find the
-- others by their index.
CREATE OR REPLACE VIEW copy_rows AS
SELECT event_key FROM events
WHERE channel = 'browser'
    AND event_id IN (SELECT event_id FROM events WHERE channel = 'server')
    AND event_key IN (SELECT event_key FROM events WHERE channel = 'server');

CREATE OR REPLACE VIEW event_rows AS
SELECT
    e.site AS site, e.event_id AS event_id, e.name AS name, e.channel AS channel,
    e.event_key AS event_key, e.event_key IN copy_rows AS is_copied,
    e.occurred_at AS occurred_at, e.received_at AS received_at, e.anonymous_id AS anonymous_id,
    e.user_id AS user_id, e.visitor_id AS visitor_key, e.transaction_id AS transaction_id,
    e.value AS value, e.currency AS currency, e.device AS device, e.browser AS browser,
    e.browser_version AS browser_version, e.os AS os, e.bot AS bot,
    e.place AS place
FROM events AS e FINAL
WHERE e.channel = 'browser' OR e.event_key NOT IN copy_rows;

-- The events asked for are held, and of the sessions only those of their visitors are read. Very many
-- events are held in part on disk.
CREATE OR REPLACE VIEW v_events AS
SELECT
    e.site AS site, e.event_id AS event_id, e.name AS name,
    toUInt8(e.channel = 'browser') AS seen_browser,
    toUInt8(e.channel = 'server' OR e.is_copied) AS seen_server,
    e.occurred_at AS occurred_at, e.received_at AS received_at, e.anonymous_id AS anonymous_id,
    e.user_id AS user_id,
    if(e.visitor_key = toFixedString('', 16), NULL, lower(hex(e.visitor_key))) AS visitor_id,
    if(
        toUnixTimestamp64Milli(e.visit.1) > 0 AND e.occurred_at <= e.visit.2 + INTERVAL 24 HOUR,
        lower(hex(sipHash128(e.visitor_key, toUnixTimestamp64Milli(e.visit.1)))), NULL
    ) AS session_id,
    if(
        e.visitor_key = toFixedString('', 16), NULL,
        lower(hex(if(e.person_key = toFixedString('', 16), e.visitor_key, e.person_key)))
    ) AS person_id,
    e.transaction_id AS transaction_id, if(e.device = '', 'unknown', e.device) AS device, e.browser AS browser,
    e.browser_version AS browser_version, e.os AS os, e.bot AS bot,
    substring(e.place, 1, 2) AS country, if(length(e.place) > 3, e.place, '') AS region
FROM (
    SELECT
        r.site AS site, r.event_id AS event_id, r.name AS name, r.channel AS channel,
        r.is_copied AS is_copied, r.occurred_at AS occurred_at, r.received_at AS received_at,
        r.anonymous_id AS anonymous_id, r.user_id AS user_id, r.visitor_key AS visitor_key,
        r.transaction_id AS transaction_id, r.device AS device, r.browser AS browser,
        r.browser_version AS browser_version, r.os AS os, r.bot AS bot,
        r.place AS place,
        if(
            empty(p.slices), p.person_key, arrayLast(x -> x.1 <= r.occurred_at, p.slices).2
        ) AS person_key,
        arrayLast(x -> x.1 <= r.occurred_at, s.sessions_of_visitor) AS visit
    FROM visitor_rows AS s
    RIGHT ANY JOIN event_rows AS r ON s.visitor_key = r.visitor_key
    LEFT ANY JOIN person_rows AS p ON r.visitor_key = p.visitor_key
) AS e
SETTINGS join_algorithm = 'grace_hash', max_bytes_in_join = 200000000;

-- What was decided about each event that was kept.
CREATE OR REPLACE VIEW v_stamps AS
SELECT
    site, event_id, name, toString(channel) AS channel, occurred_at, received_at,
    consent_kept AS kept, consent_rule AS rule, consent_version AS rules_version,
    arrayStringConcat(consent_purposes, ',') AS purposes,
    arrayStringConcat(consent_denied, ',') AS denied,
    arrayStringConcat(consent_signals, ',') AS signals,
    retention, arrayStringConcat(consent_exports, ',') AS exports
FROM events FINAL;
