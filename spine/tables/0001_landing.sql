-- What lands: one fate per log position, the events, and the narrow facts that are derived from.
-- Every table collapses by what identifies a row, so that landing a batch again changes nothing.
-- Landing and ledger tables sync to disk before an insert is answered.

CREATE TABLE IF NOT EXISTS derive_versions (version UInt32, since DateTime64(3, 'UTC'))
ENGINE = ReplacingMergeTree ORDER BY version;

CREATE TABLE IF NOT EXISTS sites (
    site String, currency LowCardinality(String), timezone String, updated_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(updated_at) ORDER BY site;

-- Which log a position belongs to. The oldest row of a name counts: of two processors that enter a
-- new log at once, the later one takes over what the earlier one wrote.
CREATE TABLE IF NOT EXISTS logs (
    log_id String, name String, partitions UInt32, adopted_at DateTime64(6, 'UTC')
) ENGINE = ReplacingMergeTree ORDER BY (name, adopted_at, log_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- A line: these offsets have landed and what they touched is derived. The line is the commit.
-- `lost` lines are offsets that the log dropped before they were read.
CREATE TABLE IF NOT EXISTS ledger (
    log_id LowCardinality(String), log_partition UInt32, first_offset UInt64, next_offset UInt64,
    digest FixedString(16), token UInt64, lost UInt8, entered_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(token) ORDER BY (log_id, log_partition, first_offset, next_offset, lost)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

-- The versions that were taken; the highest is the last one.
CREATE TABLE IF NOT EXISTS tokens (one UInt8, token UInt64) ENGINE = ReplacingMergeTree(token) ORDER BY one;

CREATE TABLE IF NOT EXISTS fates (
    log_id LowCardinality(String), log_partition UInt32, log_offset UInt64 CODEC(Delta, LZ4),
    site LowCardinality(String), received_at DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    identity FixedString(16), fate LowCardinality(String), code LowCardinality(String),
    INDEX identities identity TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = ReplacingMergeTree ORDER BY (log_id, log_partition, log_offset)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

-- Identity → lowest position. Landed after the event and before its fate.
CREATE TABLE IF NOT EXISTS seen (
    identity FixedString(16), log_id LowCardinality(String), log_partition UInt32,
    log_offset UInt64, body FixedString(8)
) ENGINE = ReplacingMergeTree ORDER BY (identity, log_id, log_partition, log_offset)
SETTINGS index_granularity = 1024, fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS rejects (
    log_id LowCardinality(String), log_partition UInt32, log_offset UInt64,
    appended_at DateTime64(3, 'UTC'), code LowCardinality(String), detail String,
    value String CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree ORDER BY (log_id, log_partition, log_offset)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS tallies (
    site LowCardinality(String), received_on Date, collector String, boot String, sequence UInt64,
    status LowCardinality(String), code LowCardinality(String), name LowCardinality(String),
    count UInt64
) ENGINE = ReplacingMergeTree
ORDER BY (site, received_on, collector, boot, sequence, status, code, name)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

CREATE TABLE IF NOT EXISTS events (
    site LowCardinality(String), name LowCardinality(String), event_id String,
    channel Enum8('browser' = 1, 'server' = 2),
    identity FixedString(16), event_key FixedString(16), visitor_id FixedString(16),
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    received_at DateTime64(3, 'UTC') CODEC(Delta, LZ4), received_on Date,
    anonymous_id Nullable(String), user_id Nullable(String), user_key FixedString(16),
    email_sha256 Nullable(String), phone_sha256 Nullable(String), crm_id Nullable(String),
    page_url String, page_referrer String, page_title String,
    ip String, user_agent LowCardinality(String),
    source LowCardinality(String), medium LowCardinality(String), campaign LowCardinality(String),
    term String, content String, channel_group LowCardinality(String),
    click_id_name LowCardinality(String), click_id String,
    transaction_id Nullable(String), currency LowCardinality(String),
    value Nullable(Decimal(18, 4)), tax Nullable(Decimal(18, 4)),
    shipping Nullable(Decimal(18, 4)), discount Nullable(Decimal(18, 4)), coupon String,
    items String CODEC(ZSTD(1)), properties String CODEC(ZSTD(1)),
    consent_kept LowCardinality(String), consent_rule LowCardinality(String),
    consent_version LowCardinality(String), consent_purposes Array(LowCardinality(String)),
    consent_signal String CODEC(ZSTD(1)), flags Array(LowCardinality(String)),
    log_id LowCardinality(String), log_partition UInt32, log_offset UInt64,
    INDEX event_ids event_id TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (site, toDate(occurred_at), name, event_id, channel)
SETTINGS index_granularity = 1024, fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;

-- What sessions are made of, ordered for deriving: a visitor's events of a day lie together.
CREATE TABLE IF NOT EXISTS visitor_facts (
    site LowCardinality(String), visitor_id FixedString(16),
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    identity FixedString(16), event_key FixedString(16),
    name LowCardinality(String), is_key UInt8, page String,
    source LowCardinality(String), medium LowCardinality(String), campaign LowCardinality(String),
    channel_group LowCardinality(String), click_id_name LowCardinality(String), click_id String
) ENGINE = MergeTree
PARTITION BY toYYYYMMDD(occurred_at)
ORDER BY (visitor_id, occurred_at)
SETTINGS index_granularity = 128, index_granularity_bytes = 0, min_compress_block_size = 4096,
    max_compress_block_size = 16384, fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;

-- What orders are made of: every report of a purchase or a refund.
CREATE TABLE IF NOT EXISTS order_facts (
    order_key FixedString(16), site LowCardinality(String), transaction_id String,
    name LowCardinality(String), occurred_at DateTime64(3, 'UTC'),
    identity FixedString(16), event_key FixedString(16),
    channel Enum8('browser' = 1, 'server' = 2), visitor_id FixedString(16),
    currency LowCardinality(String), value Nullable(Decimal(18, 4)),
    tax Nullable(Decimal(18, 4)), shipping Nullable(Decimal(18, 4)), is_full UInt8
) ENGINE = MergeTree
ORDER BY (order_key, identity)
SETTINGS index_granularity = 64, index_granularity_bytes = 0, min_compress_block_size = 2048,
    max_compress_block_size = 8192, fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;

-- Every report of a lead, so that leads are found without reading all events.
CREATE TABLE IF NOT EXISTS lead_facts (
    site LowCardinality(String), event_key FixedString(16),
    channel Enum8('browser' = 1, 'server' = 2), event_id String,
    occurred_at DateTime64(3, 'UTC'), visitor_id FixedString(16),
    currency LowCardinality(String), value Nullable(Decimal(18, 4))
) ENGINE = ReplacingMergeTree
ORDER BY (site, event_key, channel)
SETTINGS index_granularity = 256, fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;

-- Evidence that an anonymous id and a user id are one person: both stood on one event.
CREATE TABLE IF NOT EXISTS identity_edges (
    anonymous_key FixedString(16), user_key FixedString(16), site LowCardinality(String),
    anonymous_id String, user_id String, occurred_at DateTime64(3, 'UTC'),
    identity FixedString(16), channel Enum8('browser' = 1, 'server' = 2)
) ENGINE = ReplacingMergeTree
ORDER BY (anonymous_key, user_key, occurred_at, identity)
SETTINGS index_granularity = 256, fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;
