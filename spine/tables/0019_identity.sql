-- Evidence for identity of all kinds: two identifiers on one event, once from either end, so that what
-- is known of an identifier lies together. Evidence of before named a device and a user: it is taken
-- over. Its own table is gone (`identity_edges` is a view of it now); made here where it is missing, so
-- that this can be done again wherever it stopped.

CREATE TABLE IF NOT EXISTS identity_edges (
    anonymous_key FixedString(16), user_key FixedString(16), site LowCardinality(String),
    occurred_at DateTime64(3, 'UTC'), identity FixedString(16),
    channel Enum8('browser' = 1, 'server' = 2), retention LowCardinality(String)
) ENGINE = Memory;

CREATE TABLE IF NOT EXISTS identity_evidence (
    key FixedString(16), other_key FixedString(16),
    key_type LowCardinality(String), other_type LowCardinality(String),
    site LowCardinality(String), occurred_at DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    identity FixedString(16), channel Enum8('browser' = 1, 'server' = 2),
    is_weak UInt8, retention LowCardinality(String)
) ENGINE = ReplacingMergeTree
ORDER BY (key, other_key, occurred_at, identity)
SETTINGS index_granularity = 256, fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;

INSERT INTO identity_evidence
SELECT
    anonymous_key, user_key, 'anonymous_id', 'user_id', site, occurred_at, identity, channel, 0,
    retention
FROM identity_edges
UNION ALL
SELECT
    user_key, anonymous_key, 'user_id', 'anonymous_id', site, occurred_at, identity, channel, 0,
    retention
FROM identity_edges;

DROP TABLE IF EXISTS identity_edges;

-- Who somebody is, beside device and user id; events of before have none of these.
ALTER TABLE events ADD COLUMN IF NOT EXISTS crm_key FixedString(16);

ALTER TABLE events ADD COLUMN IF NOT EXISTS email_key FixedString(16);

ALTER TABLE events ADD COLUMN IF NOT EXISTS phone_key FixedString(16);

-- What is derived of an identifier names it by its digest only.
ALTER TABLE persons DROP COLUMN IF EXISTS identifier;

-- Evidence that somebody has told to be wrong: what names these two together does not count, whenever it
-- lands, until it is undone. Once from either end.
CREATE TABLE IF NOT EXISTS identity_splits (
    key FixedString(16), other_key FixedString(16), site LowCardinality(String), why String,
    split_at DateTime64(3, 'UTC'), is_undone UInt8, version UInt64
) ENGINE = ReplacingMergeTree(version)
ORDER BY (key, other_key)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;
