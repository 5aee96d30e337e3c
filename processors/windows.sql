-- Windows of several days, one row each. Kept from being constants: those are copied and compared while
-- a statement is analysed, wherever it uses them.
SELECT
    visitor_id, since, until, toDateTime64(toDate(since), 3, 'UTC') AS since_at,
    toDateTime64(toDate(until), 3, 'UTC') AS until_at, groupArray(day) AS days
FROM (
    SELECT
        reinterpretAsFixedString(row.1) AS visitor_id, row.2 AS day, row.3 AS since, row.4 AS until
    FROM (SELECT arrayJoin(arrayZip(
        reinterpret(base64Decode(materialize('{visitors}')), 'Array(UInt128)'),
        reinterpret(base64Decode(materialize('{days}')), 'Array(UInt16)'),
        reinterpret(base64Decode(materialize('{sinces}')), 'Array(UInt16)'),
        reinterpret(base64Decode(materialize('{untils}')), 'Array(UInt16)')
    )) AS row)
)
GROUP BY visitor_id, since, until
