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
