-- nearest(q, k): the k rows of "items" that are nearest to q, asked of all shards at the same time. Unlike with
-- postgres_fdw, the shards return ids and distances, but no vectors. It keeps one connection to each shard, whose
-- address and user are those of the foreign servers, and sees what is committed there.
CREATE EXTENSION dblink;
CREATE FUNCTION nearest(q vector, k integer) RETURNS TABLE (id integer, d float8) LANGUAGE plpgsql AS $$
DECLARE
    shards CONSTANT text[] := '{shard1,shard2,shard3}';
    query  CONSTANT text := format('SELECT id, embedding <=> %L AS d FROM items ORDER BY d LIMIT %s', q, k);
    shard  text;
BEGIN
    FOREACH shard IN ARRAY shards LOOP
        IF shard = ANY (dblink_get_connections()) THEN NULL;
        ELSE PERFORM dblink_connect(shard, shard);
        END IF;
        PERFORM dblink_send_query(shard, query);
    END LOOP;
    RETURN QUERY SELECT r.* FROM unnest(shards) s, dblink_get_result(s) AS r (id integer, d float8) ORDER BY 2 LIMIT k;
    -- The empty result after the last one makes the connections ready for the next query.
    PERFORM FROM unnest(shards) s, dblink_get_result(s) AS r (id integer, d float8);
EXCEPTION WHEN OTHERS OR query_canceled THEN
    -- A connection with a query under way is of no use to the next call.
    PERFORM dblink_disconnect(s) FROM unnest(shards) s WHERE s = ANY (dblink_get_connections());
    RAISE;
END $$;
