-- Who was erased, and what was done about it in this store.

-- The marks of the control log that this store has heard of: by keyed hash, so that nothing here says
-- whose they are.
CREATE TABLE IF NOT EXISTS erasure_marks (
    mark FixedString(16), erased_until DateTime64(3, 'UTC'), erasure String
) ENGINE = ReplacingMergeTree(erased_until) ORDER BY mark
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

-- One row per erasure: open, then closed with its receipt. `ends` is how far the log went when this
-- store first heard of it.
CREATE TABLE IF NOT EXISTS erasures (
    erasure String, site LowCardinality(String), state LowCardinality(String), why String,
    erased_until DateTime64(3, 'UTC'), log_id String, ends Array(Tuple(UInt32, UInt64)),
    receipt String, version UInt64
) ENGINE = ReplacingMergeTree(version) ORDER BY erasure
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

-- How many rows were found, written before they go: who begins anew finds fewer, and the most counts.
CREATE TABLE IF NOT EXISTS erasure_counts (
    erasure String, table_name LowCardinality(String),
    found SimpleAggregateFunction(max, UInt64)
) ENGINE = AggregatingMergeTree ORDER BY (erasure, table_name)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

-- What a running erasure is about. In memory only: a deletion that names it leaves no digest behind
-- in the files that the store keeps of deletions.
CREATE TABLE IF NOT EXISTS erasing (run String, kind LowCardinality(String), digest FixedString(16))
ENGINE = Memory;

-- The same words as before, written so that a deletion understands them too.
ALTER TABLE visitor_days MODIFY COLUMN touches Array(LowCardinality(String)) MATERIALIZED arrayMap(
    x -> toString((
        tupleElement(x, 'channel_group'), tupleElement(x, 'source'), tupleElement(x, 'medium'),
        tupleElement(x, 'campaign')
    )), sessions_of_day
);
