-- An order says which report gave each of its fields, when it became less and by how much, and what is
-- odd about its reports. A rebuild fills this in; `refunded` has room for any sum of refunds.

ALTER TABLE orders MODIFY COLUMN refunded Nullable(Decimal(38, 4));
ALTER TABLE orders DROP COLUMN IF EXISTS money_from;
ALTER TABLE orders DROP COLUMN IF EXISTS visitor_from;
ALTER TABLE orders ADD COLUMN IF NOT EXISTS amounts_disagree UInt8 AFTER visitor_id;
ALTER TABLE orders ADD COLUMN IF NOT EXISTS currencies_disagree UInt8 AFTER amounts_disagree;
ALTER TABLE orders ADD COLUMN IF NOT EXISTS over_refunded UInt8 AFTER currencies_disagree;
ALTER TABLE orders ADD COLUMN IF NOT EXISTS negative_amount UInt8 AFTER over_refunded;
ALTER TABLE orders ADD COLUMN IF NOT EXISTS reversal_unverified UInt8 AFTER negative_amount;
ALTER TABLE orders ADD COLUMN IF NOT EXISTS
    reversals Array(Tuple(at DateTime64(3, 'UTC'), amount Decimal(38, 4)))
    AFTER reversal_unverified;
ALTER TABLE orders ADD COLUMN IF NOT EXISTS provenance Array(Tuple(
    field LowCardinality(String), identity FixedString(16), channel LowCardinality(String)
)) AFTER reversals;

-- A site may name further conversions; what landed before are leads.
ALTER TABLE lead_facts ADD COLUMN IF NOT EXISTS kind LowCardinality(String) DEFAULT 'lead';

-- What one unit of the base is in each currency, day by day, as the operator imports it. There is one base.
CREATE TABLE IF NOT EXISTS rates (
    currency LowCardinality(String), date Date, base LowCardinality(String), rate Decimal(18, 8),
    version UInt64
) ENGINE = ReplacingMergeTree(version) ORDER BY (currency, date)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;
