CREATE OR REPLACE VIEW consent_rows AS
SELECT
    site, subject, kind, received_at, identity, toNullable(decided_at) AS decided_at,
    'decision' AS told_by, action, granted, denied, text_version, '' AS rules_version, '' AS signal
FROM consent_log FINAL
UNION ALL
SELECT
    site, visitor_id, if(isNull(anonymous_id), 'user_id', 'anonymous_id'), received_at, identity,
    parseDateTime64BestEffortOrNull(JSONExtractString(consent_signal, 'decided_at'), 3, 'UTC'),
    'event', if(empty(consent_purposes), 'none', 'grant'), arraySort(consent_purposes), [], '',
    consent_version, consent_signal
FROM events FINAL
WHERE consent_kept = 'whole' AND visitor_id != toFixedString('', 16)
UNION ALL
SELECT
    site, subject, kind, received_at, identity, decided_at, 'event',
    if(empty(granted), 'none', 'grant'), granted, [], '', rules_version, signal
FROM consent_proofs FINAL;

-- What changed: of what is said again and again only the first time. It is computed from what has
-- landed, so in whatever order that was, and needs no rebuild.
CREATE OR REPLACE VIEW v_consent_log AS
SELECT
    site, lower(hex(subject)) AS subject_id, kind, received_at, decided_at, told_by, action,
    arrayStringConcat(granted, ',') AS granted, arrayStringConcat(denied, ',') AS denied,
    text_version, rules_version, signal,
    leadInFrame(toNullable(received_at)) OVER (
        PARTITION BY site, subject ORDER BY received_at, told_by, identity
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS until_at
FROM (
    SELECT
        *, (action, granted, denied, text_version) AS said,
        lagInFrame(said) OVER (
            PARTITION BY site, subject, told_by ORDER BY received_at, identity
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS before
    FROM consent_rows
)
WHERE said != before;

-- What was read in a file asked no visitor.
CREATE OR REPLACE VIEW v_consent_daily AS
SELECT
    date, site, sum(n_accepted) AS accepted, sum(n_stripped) AS stripped,
    sum(n_dropped) AS dropped, sum(n_refused) AS refused,
    if(accepted + stripped + dropped = 0, NULL, accepted / (accepted + stripped + dropped))
        AS consent_rate
FROM (
    SELECT
        received_on AS date, site, countIf(consent_kept = 'whole') AS n_accepted,
        countIf(consent_kept = 'stripped') AS n_stripped,
        toUInt64(0) AS n_dropped, toUInt64(0) AS n_refused
    FROM events FINAL WHERE NOT has(flags, 'imported') GROUP BY date, site
    UNION ALL
    SELECT received_on, site, 0, 0, sumIf(count, status = 'dropped'), sumIf(count, status = 'refused')
    FROM tallies FINAL GROUP BY received_on, site
)
GROUP BY date, site;
