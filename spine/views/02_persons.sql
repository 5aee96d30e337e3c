CREATE OR REPLACE VIEW person_rows AS
SELECT visitor_id AS visitor_key, intervals[1].3 AS person_key FROM persons FINAL;

-- Every identifier seen, with its person: a device with evidence belongs to a user, everyone else
-- is a person of its own.
CREATE OR REPLACE VIEW v_persons AS
SELECT
    i.site AS site, i.identifier_type AS identifier_type, i.identifier AS identifier,
    lower(hex(if(p.person_key = toFixedString('', 16), i.identifier_key, p.person_key))) AS person_id,
    CAST(NULL, 'Nullable(DateTime64(3, \'UTC\'))') AS valid_from,
    CAST(NULL, 'Nullable(DateTime64(3, \'UTC\'))') AS valid_to
FROM (
    SELECT DISTINCT site, 'anonymous_id' AS identifier_type,
        assumeNotNull(anonymous_id) AS identifier, visitor_id AS identifier_key
    FROM events WHERE anonymous_id IS NOT NULL
    UNION ALL
    SELECT DISTINCT site, 'user_id', assumeNotNull(user_id), user_key
    FROM events WHERE user_id IS NOT NULL
) AS i
LEFT ANY JOIN person_rows AS p ON i.identifier_key = p.visitor_key;
