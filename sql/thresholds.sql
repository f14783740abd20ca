-- Thresholds: a query that is ordered by a distance, and wants only rows within a distance. The scan ends at that distance:
-- "Index Cond" shows it. The table has 2,000 rows, and a search in strict order would visit all of them.
CREATE TABLE t (id integer PRIMARY KEY, v vector(3));
INSERT INTO t SELECT i, ARRAY[i, i % 7, i % 11]::vector FROM generate_series(1, 2000) i;
CREATE INDEX t_l2 ON t USING hnsw (v vector_l2_ops);
CREATE INDEX t_ip ON t USING hnsw (v vector_ip_ops);
CREATE INDEX t_cosine ON t USING hnsw (v vector_cosine_ops);
CREATE INDEX t_l1 ON t USING hnsw (v vector_l1_ops);
VACUUM ANALYZE t;
SET enable_seqscan = off;
SET hnsw.iterative_scan = strict_order;
-- How many rows a query has, whether the scan has ended early, and whether a sequential scan finds the same rows.
CREATE FUNCTION try(query text, OUT rows bigint, OUT ended_early boolean, OUT same boolean) LANGUAGE plpgsql AS $$
DECLARE
    got integer[];
    wanted integer[];
BEGIN
    EXECUTE 'SELECT array_agg(id ORDER BY id) FROM (' || query || ') x' INTO got;
    SELECT visited < 500 INTO ended_early FROM hnsw_last_scan();
    SET LOCAL enable_indexscan = off;
    SET LOCAL enable_seqscan = on;
    EXECUTE 'SELECT array_agg(id ORDER BY id) FROM (' || query || ') x' INTO wanted;
    SET LOCAL enable_indexscan = on;
    SET LOCAL enable_seqscan = off;
    rows := coalesce(array_length(got, 1), 0);
    same := got IS NOT DISTINCT FROM wanted;
END $$;

-- each operator
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE v <-> '[100,3,5]' < 4.5 ORDER BY v <-> '[100,3,5]' LIMIT 10;
SELECT * FROM try($$SELECT id FROM t WHERE v <-> '[100,3,5]' < 4.5 ORDER BY v <-> '[100,3,5]' LIMIT 10$$);
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE v <#> '[1,3,5]' <= -2050 ORDER BY v <#> '[1,3,5]' LIMIT 50;
SELECT * FROM try($$SELECT id FROM t WHERE v <#> '[1,3,5]' <= -2050 ORDER BY v <#> '[1,3,5]' LIMIT 50$$);
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE v <=> '[100,3,5]' < 0.0002 ORDER BY v <=> '[100,3,5]' LIMIT 500;
SELECT * FROM try($$SELECT id FROM t WHERE v <=> '[100,3,5]' < 0.0002 ORDER BY v <=> '[100,3,5]' LIMIT 500$$);
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE v <+> '[100.1,3.2,5.4]' < 6 ORDER BY v <+> '[100.1,3.2,5.4]' LIMIT 10;
SELECT * FROM try($$SELECT id FROM t WHERE v <+> '[100.1,3.2,5.4]' < 6 ORDER BY v <+> '[100.1,3.2,5.4]' LIMIT 10$$);

-- the usual ways to write it
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE 1 - (v <=> '[100,3,5]') > 0.9998 ORDER BY v <=> '[100,3,5]' LIMIT 500;
SELECT * FROM try($$SELECT id FROM t WHERE 1 - (v <=> '[100,3,5]') > 0.9998 ORDER BY v <=> '[100,3,5]' LIMIT 500$$);
SELECT * FROM try($$SELECT id FROM t WHERE 0.9998 <= 1 - (v <=> '[100,3,5]') ORDER BY v <=> '[100,3,5]' LIMIT 500$$);
SELECT * FROM try($$SELECT id FROM t WHERE (v <#> '[1,3,5]') * -1 > 2050 ORDER BY v <#> '[1,3,5]' LIMIT 50$$);
SELECT * FROM try($$SELECT id FROM t WHERE -1 * (v <#> '[1,3,5]') > 2050 ORDER BY v <#> '[1,3,5]' LIMIT 50$$);
SELECT * FROM try($$SELECT id FROM t WHERE -(v <#> '[1,3,5]') > 2050 ORDER BY v <#> '[1,3,5]' LIMIT 50$$);
SELECT * FROM try($$SELECT id FROM t WHERE (v <-> '[100,3,5]') / -2 + 1 > -1.25 ORDER BY v <-> '[100,3,5]' LIMIT 10$$);
SELECT * FROM try($$SELECT id FROM t WHERE 2 + (v <-> '[100,3,5]') * 3 - 1 < 14.5 ORDER BY v <-> '[100,3,5]' LIMIT 10$$);
SELECT * FROM try($$SELECT id FROM t WHERE (v <-> '[100,3,5]')::real < 4.5::real ORDER BY v <-> '[100,3,5]' LIMIT 10$$);
SELECT * FROM try($$SELECT id FROM t WHERE l2_distance('[100,3,5]', v) < 4.5 ORDER BY '[100,3,5]' <-> v LIMIT 10$$);
SELECT * FROM try($$SELECT id FROM t WHERE v <-> '[100,3,5]' BETWEEN 2 AND 4.5 ORDER BY v <-> '[100,3,5]' LIMIT 10$$);
SELECT * FROM try($$SELECT id FROM t WHERE v <-> '[100,3,5]' < 4.5 AND v <-> '[100,3,5]' < 3.5 AND id % 2 = 0 ORDER BY v <-> '[100,3,5]' LIMIT 10$$);
SELECT * FROM try($$SELECT id FROM t WHERE v <-> '[100,3,5]' < (SELECT 4.5) ORDER BY v <-> '[100,3,5]' LIMIT 10$$);
-- the allowance for rounding: the row at the threshold is found
SELECT * FROM try($$SELECT id FROM t WHERE v <-> '[100,3,5]' <= (SELECT v <-> '[100,3,5]' FROM t WHERE id = 107) ORDER BY v <-> '[100,3,5]' LIMIT 50$$);
SELECT * FROM try($$SELECT id FROM t WHERE 1 - (v <=> '[100,3,5]') >= (SELECT 1 - (v <=> '[100,3,5]') FROM t WHERE id = 174) ORDER BY v <=> '[100,3,5]' LIMIT 500$$);

-- numbers for which PostgreSQL's arithmetic has errors
SELECT * FROM try($$SELECT id FROM t WHERE (v <-> '[100.1,3.2,5.4]') * 0.001 < 1e308 ORDER BY v <-> '[100.1,3.2,5.4]' LIMIT 10$$);
SELECT * FROM try($$SELECT id FROM t WHERE (v <-> '[100.1,3.2,5.4]') / 100 < 1e308 ORDER BY v <-> '[100.1,3.2,5.4]' LIMIT 10$$);
SELECT * FROM try($$SELECT id FROM t WHERE (v <-> '[100.1,3.2,5.4]') / 100 < (SELECT 1e308) ORDER BY v <-> '[100.1,3.2,5.4]' LIMIT 10$$);
SELECT * FROM try($$SELECT id FROM t WHERE (v <-> '[100.1,3.2,5.4]') * 100 < 1e-323 ORDER BY v <-> '[100.1,3.2,5.4]' LIMIT 10$$);

-- numbers that would make rounding errors too large are left where they are
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE 1e6 + (v <-> '[100,3,5]') * 1e-6 <= 1e6 AND (v <-> '[100,3,5]') * 1e-2 * 1e-2 < 1
    AND (100 - (v <-> '[100,3,5]'))::real >= 99.9::real ORDER BY v <-> '[100,3,5]' LIMIT 10;

-- no row, NULL, NaN, infinity
SELECT * FROM try($$SELECT id FROM t WHERE v <-> '[100,3,5]' < -1 ORDER BY v <-> '[100,3,5]' LIMIT 10$$);
SELECT * FROM try($$SELECT id FROM t WHERE v <-> '[100.1,3.2,5.4]' < 'NaN' ORDER BY v <-> '[100.1,3.2,5.4]' LIMIT 10$$);
SELECT * FROM try($$SELECT id FROM t WHERE v <-> '[100.1,3.2,5.4]' < 'Infinity' ORDER BY v <-> '[100.1,3.2,5.4]' LIMIT 10$$);
PREPARE near(vector, float8) AS SELECT id FROM t WHERE v <-> $1 < $2 ORDER BY v <-> $1 LIMIT 3;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE near('[100,3,5]', 4.5);
EXECUTE near('[100,3,5]', 4.5);
EXECUTE near('[100,3,5]', NULL);
SELECT visited FROM hnsw_last_scan();
EXECUTE near(NULL, 4.5);
RESET plan_cache_mode;

-- a threshold for another distance, for another vector, or that differs from row to row, is only a filter
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE v <-> '[1,1,1]' < 9 AND v <=> '[100,3,5]' < 1 AND v <-> '[100,3,5]' < id AND v <-> '[100,3,5]' > 1
    AND v <-> '[100,3,5]' < random() AND v <-> '[100,3,5]' <> 3 ORDER BY v <-> '[100,3,5]' LIMIT 10;
-- the operator is for the planner: in a query it is true, and no index is used for it
RESET enable_seqscan;
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE v <<= 3.0::float8 ORDER BY v <-> '[100,3,5]' LIMIT 10;
SET enable_seqscan = off;
SELECT count(*) FROM t WHERE v <<= 3.0::float8;

-- functions, as many applications have them
CREATE FUNCTION match_documents(query_embedding vector(3), match_threshold float, match_count int) RETURNS TABLE (id integer, similarity float)
    LANGUAGE sql STABLE AS $$
    SELECT t.id, 1 - (t.v <=> query_embedding) AS similarity FROM t WHERE 1 - (t.v <=> query_embedding) > match_threshold
    ORDER BY t.v <=> query_embedding LIMIT match_count $$;
EXPLAIN (COSTS OFF) SELECT id FROM match_documents('[100,3,5]', 0.9998, 500);
SELECT * FROM try($$SELECT id FROM match_documents('[100,3,5]', 0.9998, 500)$$);
CREATE FUNCTION match_in_plpgsql(query_embedding vector(3), match_threshold float, match_count int) RETURNS SETOF t LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT * FROM t WHERE (t.v <#> query_embedding) * -1 > match_threshold ORDER BY t.v <#> query_embedding LIMIT match_count;
END $$;
SELECT * FROM try($$SELECT id FROM match_in_plpgsql('[1,3,5]', 2050, 50)$$);

-- LATERAL: the threshold changes from scan to scan; CTEs, cursors, row locks
SELECT q.id, q.c, n.id FROM (VALUES (10, 1.0), (20, NULL), (30, 3.2), (40, 4.2)) q (id, c), LATERAL
    (SELECT id FROM t WHERE t.v <-> (SELECT v FROM t x WHERE x.id = q.id) < q.c ORDER BY t.v <-> (SELECT v FROM t x WHERE x.id = q.id) LIMIT 3) n;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM t WHERE v <-> '[100,3,5]' < 4.5 ORDER BY v <-> '[100,3,5]';
FETCH 10 FROM c;
FETCH 10 FROM c;
COMMIT;
SELECT id FROM t WHERE v <-> '[100,3,5]' < 4.5 ORDER BY v <-> '[100,3,5]' LIMIT 2 FOR UPDATE;
SET hnsw.iterative_scan = relaxed_order;
SELECT * FROM try($$SELECT id FROM t WHERE v <-> '[100,3,5]' < 4.5 ORDER BY v <-> '[100,3,5]' LIMIT 10$$);
SET hnsw.iterative_scan = off;
SELECT * FROM try($$SELECT id FROM t WHERE v <-> '[100,3,5]' < 4.5 ORDER BY v <-> '[100,3,5]' LIMIT 10$$);
SET hnsw.iterative_scan = strict_order;

-- row-level security, an index on an expression, partitions
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
ALTER TABLE t FORCE ROW LEVEL SECURITY;
CREATE ROLE threshold_user;
GRANT SELECT ON t TO threshold_user;
CREATE POLICY even ON t USING (id % 2 = 0);
SET ROLE threshold_user;
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE v <-> '[100,3,5]' < 4.5 ORDER BY v <-> '[100,3,5]' LIMIT 10;
SELECT id FROM t WHERE v <-> '[100,3,5]' < 4.5 ORDER BY v <-> '[100,3,5]' LIMIT 10;
RESET ROLE;
CREATE INDEX t_half ON t USING hnsw ((v::halfvec(3)) halfvec_l2_ops);
SELECT id FROM t WHERE v::halfvec(3) <-> '[100,3,5]' < 4.5 ORDER BY v::halfvec(3) <-> '[100,3,5]' LIMIT 10;
SELECT visited < 500 AS ended_early FROM hnsw_last_scan();
CREATE TABLE parts (id integer, v vector(3)) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (1000);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (1000) TO (3000);
INSERT INTO parts SELECT id, v FROM t;
CREATE INDEX ON parts USING hnsw (v vector_l2_ops);
ANALYZE parts;
EXPLAIN (COSTS OFF) SELECT id FROM parts WHERE v <-> '[999,3,5]' < 6 ORDER BY v <-> '[999,3,5]' LIMIT 50;
SELECT * FROM try($$SELECT id FROM parts WHERE v <-> '[999,3,5]' < 6 ORDER BY v <-> '[999,3,5]' LIMIT 50$$);

-- other types
CREATE TABLE other AS SELECT id, ('{1:' || id || ',2:' || id % 7 + 1 || '}/5')::sparsevec(5) AS s, id::bit(12) AS b FROM generate_series(1, 2000) id;
CREATE INDEX ON other USING hnsw (s sparsevec_l2_ops);
CREATE INDEX ON other USING hnsw (b bit_hamming_ops);
CREATE INDEX ON other USING hnsw (b bit_jaccard_ops);
ANALYZE other;
SELECT * FROM try($$SELECT id FROM other WHERE s <-> '{1:100.2,2:3.3}/5' < 4.5 ORDER BY s <-> '{1:100.2,2:3.3}/5' LIMIT 10$$);
EXPLAIN (COSTS OFF) SELECT id FROM other WHERE b <~> 1000::bit(12) <= 1 ORDER BY b <~> 1000::bit(12) LIMIT 20;
SELECT count(*) FROM (SELECT id FROM other WHERE b <~> 1000::bit(12) <= 1 ORDER BY b <~> 1000::bit(12) LIMIT 20) x;
SELECT visited < 500 AS ended_early FROM hnsw_last_scan();
EXPLAIN (COSTS OFF) SELECT id FROM other WHERE b <%> 1000::bit(12) < 0.2 ORDER BY b <%> 1000::bit(12) LIMIT 20;

-- without ORDER BY, if hnsw.range_scan allows it
SET enable_seqscan = on;
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE v <-> '[100,3,5]' < 4.5;
SET enable_seqscan = off;
SET hnsw.range_scan = on;
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE v <-> '[100,3,5]' < 4.5;
SELECT * FROM try($$SELECT id FROM t WHERE v <-> '[100,3,5]' < 4.5$$);
EXPLAIN (COSTS OFF) SELECT count(*) FROM t WHERE 1 - (v <=> '[100,3,5]') > 0.9998 AND id % 2 = 0;
SELECT * FROM try($$SELECT id FROM t WHERE 1 - (v <=> '[100,3,5]') > 0.9998 AND id % 2 = 0$$);
SELECT * FROM try($$SELECT id FROM t WHERE inner_product('[1,3,5]', v) > 2050 OR id = 5$$);   -- no threshold
SELECT * FROM try($$SELECT id FROM t WHERE (v <#> '[1,3,5]') * -1 > 2050$$);
SELECT * FROM try($$SELECT id FROM t WHERE l1_distance('[100.1,3.2,5.4]', v)::real < 6::real$$);
SELECT * FROM try($$SELECT id FROM t WHERE v::halfvec(3) <-> '[100,3,5]' < 4.5$$);
SELECT * FROM try($$SELECT id FROM t WHERE v <-> '[100,3,5]' < 4.5 ORDER BY id LIMIT 3$$);
SELECT * FROM try($$SELECT id FROM parts WHERE v <-> '[999,3,5]' < 6$$);
SELECT * FROM try($$SELECT id FROM other WHERE s <-> '{1:100.2,2:3.3}/5' < 4.5$$);
SELECT * FROM try($$SELECT id FROM t WHERE v <-> NULL < 4.5$$);
SELECT * FROM try($$SELECT id FROM t WHERE v <-> '[100,3,5]' < NULL::float8$$);
SELECT * FROM try($$SELECT id FROM t WHERE v <-> '[100,3,5]' < -1$$);
SELECT * FROM try($$SELECT id FROM t WHERE v <-> (SELECT v FROM t WHERE id = 100) < (SELECT 4.5)$$);
SELECT * FROM try($$SELECT id FROM t a WHERE EXISTS (SELECT FROM t b WHERE b.v <-> '[100,3,5]' < 4.5 AND b.id = a.id)$$);
PREPARE rows_within(vector, float8) AS SELECT count(*) FROM t WHERE v <-> $1 < $2;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE rows_within('[100,3,5]', 4.5);
EXECUTE rows_within('[100,3,5]', 4.5);
RESET plan_cache_mode;
-- rows of another table as the query are not a constant
EXPLAIN (COSTS OFF) SELECT count(*) FROM t a, t b WHERE a.v <-> b.v < 0.5 AND a.id < 3 AND b.id < 3;
-- the planner takes what is cheaper
RESET enable_seqscan;
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE v <-> '[100,3,5]' < 4.5 AND id = 100;
RESET hnsw.range_scan;
-- Without ORDER BY, no row is dropped because it is found late. (In strict order, a third of these would be found.)
CREATE TABLE clusters AS SELECT i AS id, (SELECT array_agg(40 * sin(i % 20 * j) + sin(i * j * j)) FROM generate_series(1, 16) j)::vector(16) AS v
    FROM generate_series(1, 6000) i;
CREATE INDEX ON clusters USING hnsw (v vector_l2_ops) WITH (vector_bits = 2);
CREATE FUNCTION within(q vector, c float8) RETURNS bigint LANGUAGE plpgsql AS
    'BEGIN RETURN (SELECT count(*) FROM clusters WHERE v <-> q < c); END';
SET hnsw.range_scan = on;
SET enable_seqscan = off;
SELECT sum(within(v, 8)) > 0.9 * 20 * 300 AS found, sum(within(v, 8)) <= 20 * 300 AS exact FROM (SELECT * FROM clusters ORDER BY id LIMIT 20) x;
DROP FUNCTION within;
DROP TABLE clusters;
RESET enable_seqscan;
RESET hnsw.range_scan;
-- A bound is not divided while the query runs: the quotient might be too small.
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id FROM t WHERE (v <-> '[1,2,3]') * 2 < (SELECT 5e-324::float8) ORDER BY v <-> '[1,2,3]' LIMIT 5) x;
RESET enable_seqscan;
DROP TABLE t, parts, other CASCADE;
DROP ROLE threshold_user;
