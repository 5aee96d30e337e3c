-- A session starts after a gap, with a day of its site, and where another campaign than the one before
-- brings the visitor; the first campaign after a start without one is another, too.
--
-- begins   the facts before which a chain in one day of the site begins
-- keys     the campaign that counts at each moment, '-' for a beginning without one: facts of one moment
--          are never cut apart, so that no two sessions start at once
--
-- What a fact changes may be far from it, but within its chain: all days of a chain are rewritten.
SELECT
    k.site AS site, k.visitor_id AS visitor_id, k.days_rewritten AS days_rewritten,
    arraySplit(
        (fact, is_cut) -> is_cut, k.facts,
        arrayMap(
            (begins, key, current) -> begins OR (key NOT IN ('', '-') AND key != current),
            k.begins, k.keys,
            arrayPushFront(arrayPopBack(arrayFill(key -> key != '', k.keys)), '-')
        )
    ) AS sessions
FROM (
    SELECT
        g.site AS site, g.visitor_id AS visitor_id, g.days_rewritten AS days_rewritten,
        g.facts AS facts, g.begins AS begins,
        arrayMap(
            (key, at, before, begins) -> multiIf(at = before, '', key != '', key, begins, '-', ''),
            g.facts.13, g.at_ms, g.before_ms, g.begins
        ) AS keys
    FROM (
        SELECT
            e.site AS site, e.visitor_id AS visitor_id,
            arraySort(fact -> (fact.1, fact.13 = '', fact), e.facts) AS facts,
            arrayMap(fact -> toUnixTimestamp64Milli(fact.1), facts) AS at_ms,
            arrayPushFront(arrayPopBack(at_ms), toInt64(-1)) AS before_ms,
            arrayMap(
                (at, before, day, day_before) -> at - before > {timeout_ms} OR day != day_before,
                at_ms, before_ms, facts.12, arrayPushFront(arrayPopBack(facts.12), 0)
            ) AS begins,
            arrayDistinct(arrayFlatten(arrayFilter(
                days -> hasAny(days, e.days_touched),
                arrayMap(
                    chain -> range(
                        toUInt16(toDate(chain[1].1)), toUInt16(toDate(chain[-1].1)) + 1
                    ),
                    arraySplit(
                        (fact, gap_ms) -> gap_ms > {timeout_ms}, facts, arrayDifference(at_ms)
                    )
                )
            ))) AS days_rewritten
        FROM evidence AS e
    ) AS g
) AS k
