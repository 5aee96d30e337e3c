-- What was decided about consent, and told to POST /v1/consent. Nothing is ever taken out of it.
CREATE TABLE IF NOT EXISTS consent_log (
    site LowCardinality(String), subject FixedString(16), kind LowCardinality(String),
    received_at DateTime64(3, 'UTC'), identity FixedString(16), decided_at DateTime64(3, 'UTC'),
    action LowCardinality(String), granted Array(LowCardinality(String)),
    denied Array(LowCardinality(String)), text_version String,
    channel Enum8('browser' = 1, 'server' = 2)
) ENGINE = ReplacingMergeTree
ORDER BY (site, subject, received_at, identity)
SETTINGS index_granularity = 256, fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;

-- Every time somebody said something about consent: in a decision, or on an event that was kept.
CREATE VIEW IF NOT EXISTS consent_rows AS
SELECT
    site, subject, kind, received_at, identity, toNullable(decided_at) AS decided_at,
    'decision' AS told_by, action, granted, denied, text_version, '' AS rules_version, '' AS signal
FROM consent_log FINAL
UNION ALL
SELECT
    site, visitor_id, if(isNull(anonymous_id), 'user_id', 'anonymous_id'), received_at, identity,
    parseDateTime64BestEffortOrNull(JSONExtractString(consent_signal, 'decided_at'), 3, 'UTC'),
    'event', 'grant', arraySort(consent_purposes), [], '', consent_version, consent_signal
FROM events FINAL
WHERE consent_kept = 'whole' AND visitor_id != toFixedString('', 16);

-- What changed: of what is said again and again only the first time. It is computed from what has
-- landed, so in whatever order that was, and needs no rebuild.
CREATE VIEW IF NOT EXISTS v_consent_log AS
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
