-- Whose a visitor is that belongs to another one's person: `person_key` since ever, and where it is a
-- device of several persons in turn, each with its beginning in `slices`. Of `intervals` its parts are
-- read one by one, and only those that are asked for.
CREATE OR REPLACE VIEW person_rows AS
SELECT
    visitor_id AS visitor_key, intervals.person_id[1] AS person_key,
    if(
        intervals.size0 = 1, [],
        arrayMap(
            (valid_from, person_id) -> (ifNull(valid_from, toDateTime64(0, 3, 'UTC')), person_id),
            intervals.valid_from, intervals.person_id
        )
    ) AS slices
FROM persons FINAL
WHERE identifier_type IN ('anonymous_id', 'user_id') AND intervals.size0 > 0;

-- The same of all identifiers, a row for each turn.
CREATE OR REPLACE VIEW person_slices AS
SELECT
    visitor_id AS visitor_key, interval.1 AS valid_from, interval.2 AS valid_to,
    interval.3 AS person_key, length(intervals) > 1 AS is_shared
FROM persons FINAL
ARRAY JOIN intervals AS interval;

-- Every identifier seen, with its person: with evidence it belongs to somebody, a device to several in
-- turn; everyone else is a person of its own. Of e-mails and phones the SHA-256 is known.
CREATE OR REPLACE VIEW v_persons AS
SELECT
    i.site AS site, i.identifier_type AS identifier_type, i.identifier AS identifier,
    lower(hex(if(p.person_key = toFixedString('', 16), i.identifier_key, p.person_key))) AS person_id,
    p.valid_from AS valid_from, p.valid_to AS valid_to
FROM (
    SELECT DISTINCT site, 'anonymous_id' AS identifier_type,
        assumeNotNull(anonymous_id) AS identifier, visitor_id AS identifier_key
    FROM events WHERE anonymous_id IS NOT NULL
    UNION ALL
    SELECT DISTINCT site, 'user_id', assumeNotNull(user_id), user_key
    FROM events WHERE user_id IS NOT NULL
    UNION ALL
    SELECT DISTINCT site, 'crm_id', assumeNotNull(crm_id), crm_key
    FROM events WHERE crm_key != toFixedString('', 16)
    UNION ALL
    SELECT DISTINCT site, 'email_sha256', assumeNotNull(email_sha256), email_key
    FROM events WHERE email_key != toFixedString('', 16)
    UNION ALL
    SELECT DISTINCT site, 'phone_sha256', assumeNotNull(phone_sha256), phone_key
    FROM events WHERE phone_key != toFixedString('', 16)
) AS i
LEFT JOIN person_slices AS p ON i.identifier_key = p.visitor_key;

-- Evidence that an anonymous id and a user id are one person: both stood on one event.
CREATE OR REPLACE VIEW identity_edges AS
SELECT
    key AS anonymous_key, other_key AS user_key, site, occurred_at, identity, channel, retention
FROM identity_evidence FINAL
WHERE key_type = 'anonymous_id' AND other_type = 'user_id';
