-- The first day from which on everything of the fact's class is there; 1970-01-01 where nothing is over.
(
    SELECT CAST(
        (groupArray(concat(site, ' ', retention)), groupArray(first_day)), 'Map(String, Date)'
    ) FROM (SELECT site, retention, max(first_day) AS first_day FROM horizons GROUP BY site, retention)
)[concat({fact}.site, ' ', {fact}.retention)]
