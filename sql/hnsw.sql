-- hnsw: operator classes, options, settings, scans, errors
-- what hnsw_check finds wrong with any index of the database, rows compared
CREATE VIEW problems AS SELECT c.relname, k.* FROM pg_class c JOIN pg_am a ON a.oid = c.relam AND a.amname = 'hnsw',
    LATERAL hnsw_check(c.oid, true) k WHERE c.relkind = 'i' ORDER BY 1, 2, 3;
CREATE TABLE t (id integer, v vector(3), h halfvec(3));
INSERT INTO t SELECT i, ARRAY[i, i % 7, i % 11]::vector, ARRAY[i, i % 7, i % 11]::halfvec FROM generate_series(1, 1000) i;
INSERT INTO t VALUES (0, NULL, NULL);
CREATE INDEX l2 ON t USING hnsw (v vector_l2_ops);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY v <-> '[500,3,5]' LIMIT 3;
SELECT id, v, v <-> '[500,3,5]' AS d FROM t ORDER BY v <-> '[500,3,5]', id LIMIT 3;
-- rows after the build, deleted and updated ones
INSERT INTO t VALUES (2000, '[500,3,5]', '[500,3,5]');
SELECT id FROM t ORDER BY v <-> '[500,3,5]' LIMIT 1;
UPDATE t SET v = '[600.5,0,0]' WHERE id = 2000;
SELECT id FROM t ORDER BY v <-> '[600.5,0,0]' LIMIT 1;
DELETE FROM t WHERE id = 2000;
VACUUM t;
SELECT id FROM t ORDER BY v <-> '[600.5,0,0]' LIMIT 1;
SELECT * FROM problems;
-- all rows come out, each once, without tuning
SELECT count(*) > 990, count(*) = count(DISTINCT id) FROM (SELECT id FROM t ORDER BY v <-> '[1,1,1]' LIMIT 2000) s;
SELECT count(*) FROM (SELECT id FROM t WHERE id % 50 = 0 ORDER BY v <-> '[1,1,1]' LIMIT 10) s;
-- exact order
SELECT count(*) FROM (SELECT v <-> '[500,3,5]' AS d, lag(v <-> '[500,3,5]') OVER () AS before
    FROM (SELECT v FROM t ORDER BY v <-> '[500,3,5]' LIMIT 300) s) s WHERE d < before;
SET hnsw.iterative_scan = off;
SET hnsw.ef_search = 5;
SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> '[1,1,1]' LIMIT 100) s;
SET hnsw.iterative_scan = relaxed_order;
SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> '[1,1,1]' LIMIT 100) s;
SET hnsw.max_scan_tuples = 10;
SELECT count(*) < 100 FROM (SELECT id FROM t ORDER BY v <-> '[1,1,1]' LIMIT 100) s;
RESET hnsw.max_scan_tuples;
RESET hnsw.iterative_scan;
RESET hnsw.ef_search;
DROP INDEX l2;
-- the other operator classes
CREATE INDEX ip ON t USING hnsw (v vector_ip_ops);
SELECT id, v <#> '[1,0,0]' AS d FROM t ORDER BY v <#> '[1,0,0]' LIMIT 2;
SELECT * FROM problems;
DROP INDEX ip;
CREATE INDEX cosine ON t USING hnsw (v vector_cosine_ops);
SELECT round((v <=> '[1,1,1]')::numeric, 6) AS d FROM t ORDER BY v <=> '[1,1,1]' LIMIT 2;
INSERT INTO t VALUES (3000, '[0,0,0]', '[0,0,0]');   -- has no direction: not in the index
SELECT count(*) FROM (SELECT id FROM t ORDER BY v <=> '[1,1,1]' LIMIT 2000) s WHERE id = 3000;
SELECT count(*) FROM (SELECT id FROM t ORDER BY v <=> '[0,0,0]' LIMIT 5) s;
SELECT * FROM problems;
DROP INDEX cosine;
CREATE INDEX h_l2 ON t USING hnsw (h halfvec_l2_ops);
SELECT id FROM t ORDER BY h <-> '[500,3,5]', id LIMIT 1;
SELECT * FROM problems;
DROP INDEX h_l2;
CREATE INDEX h_ip ON t USING hnsw (h halfvec_ip_ops);
SELECT id FROM t ORDER BY h <#> '[1,0,0]' LIMIT 1;
SELECT * FROM problems;
DROP INDEX h_ip;
CREATE INDEX h_cosine ON t USING hnsw (h halfvec_cosine_ops);
SELECT round((h <=> '[1,1,1]')::numeric, 5) AS d FROM t ORDER BY h <=> '[1,1,1]' LIMIT 1;
SELECT * FROM problems;
DROP INDEX h_cosine;
-- NULL query, empty index, growth from empty, duplicates
CREATE TABLE e (id serial, v vector(3));
CREATE INDEX e_v ON e USING hnsw (v vector_l2_ops);
SELECT * FROM e ORDER BY v <-> '[1,2,3]' LIMIT 1;
INSERT INTO e (v) SELECT ARRAY[i % 10, 0, 0]::vector FROM generate_series(1, 200) i;
SELECT count(*) FROM (SELECT * FROM e ORDER BY v <-> '[1,2,3]' LIMIT 1000) s;
SELECT count(*) FROM (SELECT * FROM e ORDER BY v <-> (SELECT NULL::vector) LIMIT 7) s;
SELECT visited, rows FROM hnsw_last_scan();
SELECT count(*), count(DISTINCT id) FROM (SELECT * FROM e ORDER BY v <-> (SELECT NULL::vector) LIMIT 1000) s;
DELETE FROM e;
VACUUM e;
SELECT count(*) FROM (SELECT * FROM e ORDER BY v <-> '[1,2,3]' LIMIT 1000) s;
INSERT INTO e (v) VALUES ('[1,2,3]');
SELECT v FROM e ORDER BY v <-> '[1,2,3]' LIMIT 1;
INSERT INTO e (v) VALUES ('[1,2]');
SELECT * FROM e ORDER BY v <-> '[1,2]' LIMIT 1;
SELECT * FROM problems;
DROP TABLE e;
-- partial and expression indexes, joins, prepared statements, cursors
CREATE INDEX partial ON t USING hnsw (v vector_l2_ops) WHERE id < 100;
SELECT id FROM t WHERE id < 100 ORDER BY v <-> '[500,3,5]' LIMIT 1;
-- Not a scan of it, even where the settings leave nothing else: it has only its order.
SELECT count(*) FROM t WHERE id < 100;
SELECT * FROM problems;
DROP INDEX partial;
CREATE TABLE x (id integer, v vector);
INSERT INTO x SELECT i, ARRAY[i, i % 3]::vector FROM generate_series(1, 100) i;
CREATE INDEX ON x USING hnsw (v vector_l2_ops);
CREATE INDEX ON x USING hnsw ((v::vector(2)) vector_l2_ops);
SELECT id FROM x ORDER BY v::vector(2) <-> '[50,2]' LIMIT 1;
SELECT * FROM problems;
DROP TABLE x;
CREATE INDEX l2 ON t USING hnsw (v vector_l2_ops);
SELECT q.id, n.id FROM (SELECT * FROM t WHERE id IN (10, 20, 30)) q,
    LATERAL (SELECT id FROM t ORDER BY t.v <-> q.v LIMIT 1) n ORDER BY 1;
PREPARE p (vector) AS SELECT id FROM t ORDER BY v <-> $1 LIMIT 1;
EXECUTE p ('[10,3,10]');
EXECUTE p ('[20,6,9]');
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM t ORDER BY v <-> '[1,1,1]';
FETCH 2 FROM c;
MOVE 100 FROM c;
FETCH 1 FROM c;
COMMIT;
REINDEX INDEX l2;
REINDEX INDEX CONCURRENTLY l2;
SELECT * FROM problems;
SELECT id FROM t ORDER BY v <-> '[500,3,5]', id LIMIT 1;
DROP INDEX l2;
CREATE INDEX CONCURRENTLY l2 ON t USING hnsw (v vector_l2_ops) WITH (m = 8, ef_construction = 32);
SELECT id FROM t ORDER BY v <-> '[500,3,5]', id LIMIT 1;
DROP INDEX l2;
-- unlogged and temporary tables, partitions
CREATE UNLOGGED TABLE u AS TABLE t;
ALTER TABLE u ALTER v TYPE vector(3);
CREATE INDEX ON u USING hnsw (v vector_l2_ops);
SELECT id FROM u ORDER BY v <-> '[500,3,5]', id LIMIT 1;
CREATE TEMP TABLE tmp (v vector(3));
CREATE INDEX ON tmp USING hnsw (v vector_l2_ops);
INSERT INTO tmp SELECT v FROM t;
SELECT v FROM tmp ORDER BY v <-> '[500,3,5]' LIMIT 1;
CREATE TABLE parts (id integer, v vector(3)) PARTITION BY HASH (id);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX ON parts USING hnsw (v vector_l2_ops);
INSERT INTO parts SELECT id, v FROM t WHERE v IS NOT NULL;
SELECT id FROM parts ORDER BY v <-> '[500,3,5]', id LIMIT 1;
SELECT * FROM problems;
DROP TABLE u, tmp, parts;
-- a graph that outgrows maintenance_work_mem
SET maintenance_work_mem = '1MB';
CREATE TABLE big AS SELECT i AS id, (SELECT array_agg(sin(i * j)) FROM generate_series(1, 64) j)::vector(64) AS v
    FROM generate_series(1, 3000) i;
ALTER TABLE big ALTER v TYPE vector(64);
CREATE INDEX ON big USING hnsw (v vector_l2_ops);
CREATE INDEX by_inserts ON big USING hnsw (v vector_l1_ops) WITH (m = 32);
RESET maintenance_work_mem;
SELECT count(*) FROM big b, LATERAL (SELECT id FROM big ORDER BY big.v <-> b.v LIMIT 1) n WHERE n.id = b.id;
SELECT * FROM problems;
DROP TABLE big;
-- errors
CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (m = 1);
CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (m = 101);
CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (ef_construction = 3);
CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (ef_construction = 1001);
CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (m = 16, ef_construction = 31);
CREATE INDEX ON t USING hnsw (v);
CREATE INDEX ON t USING hnsw (v vector_l2_ops, h halfvec_l2_ops);
CREATE TABLE wide (v vector(6001));
CREATE INDEX ON wide USING hnsw (v vector_l1_ops);
DROP TABLE wide;
SET hnsw.ef_search = 0;
SET hnsw.iterative_scan = on;
SHOW hnsw.ef_search;
SHOW hnsw.iterative_scan;
SHOW hnsw.max_scan_tuples;
SHOW hnsw.scan_mem_multiplier;
SELECT amvalidate(opc.oid) FROM pg_opclass opc JOIN pg_am am ON am.oid = opcmethod WHERE amname = 'hnsw';
-- inspection
CREATE INDEX l2 ON t USING hnsw (v vector_l2_ops);
SELECT version, metric, dims, m, ef_construction, max_neighbours, sketch_bits, slot_bytes, slots_per_page,
    entry IS NOT NULL AS entry, entry_level >= 0 AS level FROM hnsw_meta('l2');
SELECT nodes, rows, deleted_slots, free_slots, mean_neighbours > 4 AS mean, min_neighbours > 0 AS least,
    max_neighbours <= 32 AS most, page_fill > 0.85 AS fill FROM hnsw_stats('l2');
SET enable_seqscan = off;
SELECT id FROM t ORDER BY v <-> '[500,3,5]', id LIMIT 1;
SELECT visited > 40 AS visited, estimated > visited AS estimated, rows > 0 AS rows FROM hnsw_last_scan();
SELECT hnsw_meta('t');
SELECT * FROM hnsw_page_items('l2', 'x');
CREATE ROLE nobody_much;
SET ROLE nobody_much;
SELECT hnsw_meta('l2');
SELECT * FROM hnsw_check('l2');
RESET ROLE;
SELECT hnsw_check('t');
SELECT hnsw_check('plans_missing');
DROP ROLE nobody_much;
DROP VIEW problems;
DROP TABLE t;
-- plans: small and empty tables are scanned, large ones are not
RESET enable_seqscan;
CREATE TABLE plans (id integer PRIMARY KEY, v vector(3), tag integer);
CREATE INDEX ON plans USING hnsw (v vector_l2_ops);
INSERT INTO plans SELECT i, ARRAY[i, i % 7, i % 11]::vector, i % 1000 FROM generate_series(1, 50) i;
ANALYZE plans;
EXPLAIN (COSTS OFF) SELECT id FROM plans ORDER BY v <-> '[1,1,1]' LIMIT 3;
INSERT INTO plans SELECT i, ARRAY[i, i % 7, i % 11]::vector, i % 1000 FROM generate_series(51, 40000) i;
ANALYZE plans;
EXPLAIN (COSTS OFF) SELECT id FROM plans ORDER BY v <-> '[1,1,1]' LIMIT 3;
EXPLAIN (COSTS OFF) SELECT id FROM plans WHERE tag < 500 ORDER BY v <-> '[1,1,1]' LIMIT 3;
EXPLAIN (COSTS OFF) SELECT id FROM plans WHERE id = 7 ORDER BY v <-> '[1,1,1]' LIMIT 3;
EXPLAIN (COSTS OFF) SELECT count(*) FROM plans;
DROP TABLE plans;
