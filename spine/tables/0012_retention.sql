-- What was decided about consent stands beside each event, and how long it may stay beside all that is
-- made of it. Rows of before, and of stamps without a class, are of the class that Beleg's own rules
-- would have named: whole, stripped with a visitor, stripped to the order.
ALTER TABLE events ADD COLUMN IF NOT EXISTS consent_denied Array(LowCardinality(String)) AFTER consent_purposes;
ALTER TABLE events ADD COLUMN IF NOT EXISTS consent_signals Array(LowCardinality(String)) AFTER consent_denied;
ALTER TABLE events ADD COLUMN IF NOT EXISTS consent_exports Array(LowCardinality(String)) AFTER consent_signals;
ALTER TABLE events ADD COLUMN IF NOT EXISTS retention LowCardinality(String) DEFAULT multiIf(
    consent_kept = 'whole', 'usage', visitor_id = toFixedString('', 16), 'accounting', 'audience'
) AFTER consent_signal;
ALTER TABLE visitor_facts ADD COLUMN IF NOT EXISTS retention LowCardinality(String) DEFAULT 'usage';
ALTER TABLE order_facts ADD COLUMN IF NOT EXISTS retention LowCardinality(String) DEFAULT
    if(visitor_id = toFixedString('', 16), 'accounting', 'usage');
ALTER TABLE lead_facts ADD COLUMN IF NOT EXISTS retention LowCardinality(String) DEFAULT 'usage';
ALTER TABLE identity_edges ADD COLUMN IF NOT EXISTS retention LowCardinality(String) DEFAULT 'usage';

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

-- From which day on everything of a class is there. Of the day before it the facts are kept, too: they
-- tell which sessions began there and are over. Written before anything is deleted, it never goes back.
CREATE TABLE IF NOT EXISTS horizons (
    site LowCardinality(String), retention LowCardinality(String), first_day Date
) ENGINE = ReplacingMergeTree(first_day) ORDER BY (site, retention)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- What was deleted up to a day, once all of it was: a line for each run that came to its end.
CREATE TABLE IF NOT EXISTS retention_runs (
    site LowCardinality(String), retention LowCardinality(String), first_day Date,
    ended_at DateTime64(3, 'UTC'), table LowCardinality(String), deleted UInt64
) ENGINE = MergeTree ORDER BY (site, retention, ended_at, table);

-- What events that are gone said about consent: the changes, for as long as the class `proof` says.
CREATE TABLE IF NOT EXISTS consent_proofs (
    site LowCardinality(String), subject FixedString(16), kind LowCardinality(String),
    received_at DateTime64(3, 'UTC'), identity FixedString(16),
    decided_at Nullable(DateTime64(3, 'UTC')), granted Array(LowCardinality(String)),
    rules_version LowCardinality(String), signal String CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree ORDER BY (site, subject, received_at, identity)
SETTINGS index_granularity = 256, fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;

-- Orders that were not their person's first one, though the first one names nobody any more.
CREATE TABLE IF NOT EXISTS repeat_orders (order_key FixedString(16))
ENGINE = ReplacingMergeTree ORDER BY order_key
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE OR REPLACE VIEW consent_rows AS
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
WHERE consent_kept = 'whole' AND visitor_id != toFixedString('', 16)
UNION ALL
SELECT
    site, subject, kind, received_at, identity, decided_at, 'event', 'grant', granted, [], '',
    rules_version, signal
FROM consent_proofs FINAL;

-- The first order ever of a person is a new customer; orders without a visitor tell nothing.
CREATE OR REPLACE VIEW new_customer_rows AS
SELECT first_order FROM (
    SELECT argMin(o.order_key, (o.at, o.transaction_id)) AS first_order
    FROM (
        SELECT
            order_key, transaction_id, assumeNotNull(ordered_at) AS at, visitor_id AS visitor_key
        FROM orders FINAL
        WHERE ordered_at IS NOT NULL AND visitor_id != toFixedString('', 16)
    ) AS o
    LEFT ANY JOIN person_rows AS p ON o.visitor_key = p.visitor_key
    GROUP BY if(p.person_key = toFixedString('', 16), o.visitor_key, p.person_key)
)
WHERE first_order NOT IN (SELECT order_key FROM repeat_orders);
