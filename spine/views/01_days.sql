-- The quarters of an hour in which it is another day at a site than in UTC: `ahead` the next one,
-- else the one before. No time zone changes its offset between two quarters. Site and quarter are
-- one number, because a set of numbers is asked several times faster than one of pairs.
CREATE OR REPLACE VIEW quarter_rows AS
SELECT
    cityHash64(t.site) + intDiv(toUnixTimestamp(toDateTime(d.day, 'UTC')), 900) + nth AS site_quarter,
    toDate(substring(toString(
        toDateTime(toUnixTimestamp(toDateTime(d.day, 'UTC')) + nth * 900, 'UTC'),
        if(t.timezone = '', 'UTC', t.timezone)
    ), 1, 10)) AS date,
    date > d.day AS ahead
FROM (SELECT DISTINCT day FROM visitor_days) AS d
CROSS JOIN (SELECT site, timezone FROM sites FINAL) AS t
ARRAY JOIN range(96) AS nth
WHERE date != d.day;
