-- Which windows might cut a chain: those with a fact within one time-out of an edge. The strips are
-- the edges of all windows as constants, so that the days between are not read.
SELECT DISTINCT f.visitor_id, {since}, {until}
FROM visitor_facts AS f {windows}
WHERE f.visitor_id IN {visitors} AND ({strips}) AND {near} AND {kept}
