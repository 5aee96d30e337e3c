-- The person of each touched device, from all edges that name it.
--
-- A device's anonymous id belongs to the earliest user id seen with it, ties by identity; two user
-- ids never join through a shared device. A person is named after its user id, so its id is stable
-- whatever arrives later. Who has no row here is a person of its own.
SELECT
    e.anonymous_key, any(e.site), 'anonymous_id', any(e.anonymous_id),
    [(
        CAST(NULL, 'Nullable(DateTime64(3, \'UTC\'))'), CAST(NULL, 'Nullable(DateTime64(3, \'UTC\'))'),
        argMin(e.user_key, (e.occurred_at, e.identity))
    )],
    {token}
FROM identity_edges AS e
WHERE e.anonymous_key IN {anonymous_keys} AND {kept}
GROUP BY e.anonymous_key
