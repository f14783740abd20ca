-- Distances that are only ordered by are not computed for the result, and those that somebody reads are.
CREATE TABLE p (id integer PRIMARY KEY, tag integer, v vector(3));
INSERT INTO p SELECT i, i % 2, ARRAY[i, i % 7, i % 11]::vector FROM generate_series(1, 2000) i;
CREATE INDEX p_v ON p USING hnsw (v vector_l2_ops);
VACUUM ANALYZE p;
SET enable_seqscan = off;

EXPLAIN (COSTS OFF, VERBOSE) SELECT id FROM p ORDER BY v <-> '[100,3,5]' LIMIT 3;
SELECT id FROM p ORDER BY v <-> '[100,3,5]' LIMIT 3;
SELECT id FROM p ORDER BY '[100,3,5]' <-> v LIMIT 3 OFFSET 1;
EXPLAIN (COSTS OFF, VERBOSE) SELECT id, v <-> '[100,3,5]' AS d FROM p ORDER BY d LIMIT 3;
SELECT id, round((v <-> '[100,3,5]')::numeric, 3) AS d FROM p ORDER BY v <-> '[100,3,5]' LIMIT 3;
SELECT id, (v <-> '[100,3,5]')::numeric(8, 3) AS other FROM p WHERE tag = 0 ORDER BY v <-> '[100,3,5]' LIMIT 3;

-- Compared above the scan: ties, a window, a join in order, sorting by more.
EXPLAIN (COSTS OFF, VERBOSE) SELECT id FROM p ORDER BY v <-> '[100,3,5]' FETCH FIRST 3 ROWS WITH TIES;
SELECT id FROM p ORDER BY v <-> '[100.5,3,5]' FETCH FIRST 1 ROWS WITH TIES;
SELECT id, rank() OVER (ORDER BY v <-> '[100,3,5]') FROM p ORDER BY v <-> '[100,3,5]' LIMIT 3;
SELECT id FROM p ORDER BY v <-> '[100,3,5]', id LIMIT 3;
SELECT DISTINCT ON (v <-> '[100,3,5]') id FROM p ORDER BY v <-> '[100,3,5]', id LIMIT 3;
SELECT id FROM p ORDER BY v <-> '[100,3,5]', v <-> '[0,0,0]' LIMIT 3;

-- Row locks look at rows again, and need to know which they are. (Not so before the releases of late 2026 of PostgreSQL, where
-- the executor puts rows in order.)
EXPLAIN (COSTS OFF, VERBOSE) SELECT id FROM p ORDER BY v <-> '[100,3,5]' LIMIT 3 FOR UPDATE;
SELECT ctid = (SELECT ctid FROM p q WHERE q.id = p.id) AS same, id FROM p ORDER BY v <-> '[100,3,5]' LIMIT 3;
SELECT id FROM p ORDER BY v <-> '[100,3,5]' LIMIT 3 FOR UPDATE;

-- Subqueries: each is as a query of its own; what reads one in its order does not need the distance.
EXPLAIN (COSTS OFF, VERBOSE) SELECT q.id, n.id FROM p q, LATERAL (SELECT id FROM p ORDER BY p.v <-> q.v LIMIT 2) n WHERE q.id IN (10, 20);
SELECT q.id, n.id FROM p q, LATERAL (SELECT id FROM p ORDER BY p.v <-> q.v LIMIT 2) n WHERE q.id IN (10, 20) ORDER BY 1;
SELECT array(SELECT id FROM p ORDER BY v <-> '[100,3,5]' LIMIT 3);
WITH n AS MATERIALIZED (SELECT id, tag FROM p ORDER BY v <-> '[100,3,5]' LIMIT 6) SELECT tag, array_agg(id) FROM n GROUP BY tag ORDER BY tag;
(SELECT id FROM p ORDER BY v <-> '[100,3,5]' LIMIT 2) UNION ALL (SELECT id FROM p ORDER BY v <-> '[500.25,3,5]' LIMIT 2);
SELECT count(*) > 1950 AS nearly_all FROM (SELECT id FROM p ORDER BY v <-> '[100,3,5]') x;
CREATE TABLE copied AS SELECT id FROM p ORDER BY v <-> '[100,3,5]' LIMIT 3;
INSERT INTO copied SELECT id FROM p ORDER BY v <-> '[500.25,3,5]' LIMIT 3;
SELECT * FROM copied;
DELETE FROM p WHERE id IN (SELECT id FROM p ORDER BY v <-> '[299.9,3,5]' LIMIT 2) RETURNING id;

-- Without LIMIT, as a cursor reads it.
EXPLAIN (COSTS OFF, VERBOSE) SELECT id FROM p ORDER BY v <-> '[100,3,5]';
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id FROM p ORDER BY v <-> '[100,3,5]';
FETCH 3 FROM c;
FETCH BACKWARD 2 FROM c;
COMMIT;

-- Prepared, by a parameter and by a subquery.
PREPARE near(vector) AS SELECT id FROM p ORDER BY v <-> $1 LIMIT 3;
SET plan_cache_mode = force_generic_plan;
EXECUTE near('[100,3,5]');
EXPLAIN (COSTS OFF, VERBOSE) EXECUTE near('[100,3,5]');
SELECT id FROM p ORDER BY v <-> (SELECT v FROM p WHERE id = 7) LIMIT 3;
RESET plan_cache_mode;

-- Partitions are merged by the distance.
CREATE TABLE parts (id integer, v vector(3)) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (1000);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (1000) TO (3000);
INSERT INTO parts SELECT id, v FROM p;
CREATE INDEX ON parts USING hnsw (v vector_l2_ops);
ANALYZE parts;
EXPLAIN (COSTS OFF, VERBOSE) SELECT id FROM parts ORDER BY v <-> '[999,3,4]' LIMIT 3;
SELECT id FROM parts ORDER BY v <-> '[999,3,4]' LIMIT 3;
SELECT * FROM hnsw_check('p_v', true);
DROP TABLE p, parts, copied;
