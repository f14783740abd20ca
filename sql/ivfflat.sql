-- ivfflat: operator classes of vector, options, settings, scans, errors
SET enable_seqscan = off;
SET jit = off;
-- what ivfflat_check finds wrong with any index of the database, rows compared
CREATE VIEW problems AS SELECT c.relname, k.* FROM pg_class c JOIN pg_am a ON a.oid = c.relam AND a.amname = 'ivfflat',
    LATERAL ivfflat_check(c.oid, true) k WHERE c.relkind = 'i' ORDER BY 1, 2, 3;
-- A few rows in one list, then inserts
CREATE TABLE s (id serial, v vector(3));
INSERT INTO s (v) VALUES ('[0,0,0]'), ('[1,2,3]'), ('[1,1,1]'), (NULL);
CREATE INDEX s_l2 ON s USING ivfflat (v vector_l2_ops) WITH (lists = 1);
INSERT INTO s (v) VALUES ('[1,2,4]');
SELECT v, v <-> '[3,3,3]' AS d FROM s ORDER BY v <-> '[3,3,3]';
SELECT count(*) FROM (SELECT * FROM s ORDER BY v <-> (SELECT NULL::vector)) x;
SELECT lists, estimated, compared, rows FROM ivfflat_last_scan();
UPDATE s SET v = '[3,3,3.5]' WHERE id = 1;
DELETE FROM s WHERE id = 3;
SELECT id, v FROM s ORDER BY v <-> '[3,3,3]';
VACUUM s;
SELECT id, v FROM s ORDER BY v <-> '[3,3,3]';
SELECT * FROM problems;
TRUNCATE s;
SELECT * FROM s ORDER BY v <-> '[3,3,3]';
INSERT INTO s (v) VALUES ('[7,7,7]');
SELECT v FROM s ORDER BY v <-> '[3,3,3]';
DROP INDEX s_l2;
TRUNCATE s;
INSERT INTO s (v) VALUES ('[0,0,0]'), ('[1,2,3]'), ('[1,1,1]'), (NULL);
CREATE INDEX s_ip ON s USING ivfflat (v vector_ip_ops) WITH (lists = 1);
INSERT INTO s (v) VALUES ('[1,2,4]');
SELECT v, v <#> '[3,3,3]' AS d FROM s ORDER BY v <#> '[3,3,3]';
SELECT count(*) FROM (SELECT * FROM s ORDER BY v <#> (SELECT NULL::vector)) x;
DROP INDEX s_ip;
DELETE FROM s WHERE v = '[1,2,4]';
-- The zero vector has no direction: it is not in the index, and as a query all rows are equally near.
CREATE INDEX s_cosine ON s USING ivfflat (v vector_cosine_ops) WITH (lists = 1);
INSERT INTO s (v) VALUES ('[1,2,4]'), ('[0,0,0]');
SELECT v, round((v <=> '[3,3,3]')::numeric, 6) AS d FROM s ORDER BY v <=> '[3,3,3]';
SELECT count(*) FROM (SELECT * FROM s ORDER BY v <=> '[0,0,0]') x;
SELECT count(*) FROM (SELECT * FROM s ORDER BY v <=> (SELECT NULL::vector)) x;
SELECT * FROM problems;
DROP TABLE s;

-- Many rows: with all lists, the order of a sequential scan
CREATE TABLE t (id integer, v vector(3), h halfvec(3));
INSERT INTO t SELECT i, ARRAY[i, i % 7, i % 11]::vector, ARRAY[i, i % 7, i % 11]::halfvec FROM generate_series(1, 1000) i;
INSERT INTO t VALUES (0, NULL, NULL);
-- How many rows a query has, and whether they are those of a sequential scan, in the order of their distances.
CREATE FUNCTION try(distance text, condition text DEFAULT 'v IS NOT NULL', lim integer DEFAULT 50, tab text DEFAULT 't',
    OUT rows integer, OUT same boolean) LANGUAGE plpgsql AS $$
DECLARE
    query text := format('SELECT array_agg(d) FROM (SELECT %1$s AS d FROM %2$s WHERE %3$s ORDER BY %1$s LIMIT %4$s) x', distance, tab, condition, lim);
    got float8[];
    wanted float8[];
BEGIN
    EXECUTE query INTO got;
    SET LOCAL enable_indexscan = off;
    SET LOCAL enable_seqscan = on;
    EXECUTE query INTO wanted;
    SET LOCAL enable_indexscan = on;
    SET LOCAL enable_seqscan = off;
    rows := coalesce(array_length(got, 1), 0);
    same := got IS NOT DISTINCT FROM wanted;
END $$;
CREATE INDEX l2 ON t USING ivfflat (v vector_l2_ops) WITH (lists = 20);
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY v <-> '[500,3,5]' LIMIT 3;
SELECT id, v <-> '[500,3,5]' AS d FROM t ORDER BY v <-> '[500,3,5]', id LIMIT 3;
SET ivfflat.probes = 20;
SELECT * FROM try($$v <-> '[500,3,5]'$$);
SELECT * FROM try($$v <-> '[500,3,5]'$$, lim => 2000);
SELECT * FROM try($$v <-> '[-1e6,0,0]'$$, 'id % 10 = 0');
SELECT lists, estimated FROM ivfflat_last_scan();
-- fewer probes: the rows of these lists
SET ivfflat.probes = 2;
SELECT lists, estimated < 500 AS few, rows < 500 AS few_rows FROM (SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> '[500,3,5]' LIMIT 2000) x) y, ivfflat_last_scan();
SET ivfflat.iterative_scan = relaxed_order;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM t ORDER BY v <-> '[500,3,5]' LIMIT 2000) x;
SET ivfflat.max_probes = 5;
SELECT count(*) BETWEEN 100 AND 900 AS some FROM (SELECT id FROM t ORDER BY v <-> '[500,3,5]' LIMIT 2000) x;
SELECT lists FROM ivfflat_last_scan();
-- below the probes it has no effect
SET ivfflat.probes = 10;
SELECT lists FROM (SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> '[500,3,5]' LIMIT 2000) x) y, ivfflat_last_scan();
RESET ivfflat.max_probes;
RESET ivfflat.iterative_scan;
SET ivfflat.probes = 20;
-- another distance does not use the index
RESET enable_seqscan;
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY v <=> '[500,3,5]' LIMIT 3;
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY v <-> '[500,3,5]' DESC LIMIT 3;
SET enable_seqscan = off;
DROP INDEX l2;
CREATE INDEX ip ON t USING ivfflat (v vector_ip_ops) WITH (lists = 20);
SELECT * FROM try($$v <#> '[1,0,0]'$$);
SELECT * FROM try($$v <#> '[-1,20,-3]'$$, lim => 2000);
SELECT * FROM problems;
DROP INDEX ip;
CREATE INDEX cosine ON t USING ivfflat (v vector_cosine_ops) WITH (lists = 20);
SELECT * FROM try($$v <=> '[1,1,1]'$$);
SELECT * FROM try($$v <=> '[-1,20,-3]'$$, lim => 2000);
SELECT * FROM problems;
DROP INDEX cosine;
-- without lists, the index chooses them, and probes are hundredths
CREATE INDEX l2 ON t USING ivfflat (v vector_l2_ops);
SELECT version, metric, dims, lists BETWEEN 8 AND 14 AS lists, lists_chosen, lists_per_probe, vector_bits, sketch_bits FROM ivfflat_meta('l2');
SET ivfflat.probes = 100;
SELECT * FROM try($$v <-> '[500,3,5]'$$, lim => 2000);
SELECT l.lists = m.lists AS all FROM ivfflat_last_scan() l, ivfflat_meta('l2') m;
RESET ivfflat.probes;
SELECT lists FROM (SELECT id FROM t ORDER BY v <-> '[500,3,5]' LIMIT 1) x, ivfflat_last_scan();
INSERT INTO t SELECT i, ARRAY[i, i % 7, i % 11]::vector, NULL FROM generate_series(1001, 5000) i;
SELECT lists BETWEEN 8 AND 14 AS lists FROM ivfflat_meta('l2');
SELECT * FROM problems;
REINDEX INDEX l2;
SELECT lists BETWEEN 45 AND 60 AS lists FROM ivfflat_meta('l2');
REINDEX INDEX CONCURRENTLY l2;
SELECT * FROM problems;
DELETE FROM t WHERE id > 1000;
-- joins, prepared statements, cursors
SELECT q.id, n.id FROM (SELECT * FROM t WHERE id IN (10, 20, 30)) q,
    LATERAL (SELECT id FROM t ORDER BY t.v <-> q.v LIMIT 1) n ORDER BY 1;
PREPARE p (vector) AS SELECT id FROM t ORDER BY v <-> $1 LIMIT 1;
EXECUTE p ('[10,3,10]');
EXECUTE p ('[20,6,9]');
SET ivfflat.probes = 100;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM t ORDER BY v <-> '[1,1,1]';
FETCH 2 FROM c;
MOVE 100 FROM c;
FETCH 1 FROM c;
COMMIT;
DROP INDEX l2;
-- A small table costs less to read as a whole.
CREATE TABLE small (v vector(3));
INSERT INTO small VALUES ('[1,2,3]'), ('[4,5,6]');
CREATE INDEX ON small USING ivfflat (v vector_l2_ops);
ANALYZE small;
RESET enable_seqscan;
EXPLAIN (COSTS OFF) SELECT * FROM small ORDER BY v <-> '[1,2,3]' LIMIT 1;
SET enable_seqscan = off;
DROP TABLE small;
-- partial and expression indexes
CREATE INDEX partial ON t USING ivfflat (v vector_l2_ops) WITH (lists = 3) WHERE id < 100;
SELECT id FROM t WHERE id < 100 ORDER BY v <-> '[500,3,5]' LIMIT 1;
SELECT count(*) FROM t WHERE id < 100;
SELECT * FROM problems;
DROP INDEX partial;
CREATE TABLE x (id integer, v vector);
INSERT INTO x SELECT i, ARRAY[i, i % 3]::vector FROM generate_series(1, 100) i;
CREATE INDEX ON x USING ivfflat (v vector_l2_ops);
CREATE INDEX ON x USING ivfflat ((v::vector(2)) vector_l2_ops) WITH (lists = 5);
SELECT id FROM x ORDER BY v::vector(2) <-> '[50,2]' LIMIT 1;
SELECT * FROM problems;
DROP TABLE x;
-- empty table, growth from empty, duplicates
CREATE TABLE e (id serial, v vector(3));
CREATE INDEX e_v ON e USING ivfflat (v vector_l2_ops) WITH (lists = 10);
SELECT lists, lists_chosen FROM ivfflat_meta('e_v');
SELECT * FROM e ORDER BY v <-> '[1,2,3]' LIMIT 1;
INSERT INTO e (v) SELECT ARRAY[i % 10, 0, 0]::vector FROM generate_series(1, 2000) i;
SELECT * FROM try($$v <-> '[1,2,3]'$$, lim => 3000, tab => 'e');
SELECT count(*), count(DISTINCT id) FROM (SELECT * FROM e ORDER BY v <-> (SELECT NULL::vector)) s;
SELECT * FROM problems;
REINDEX TABLE e;
SELECT lists FROM ivfflat_meta('e_v');
SELECT * FROM try($$v <-> '[1,2,3]'$$, lim => 3000, tab => 'e');
INSERT INTO e (v) VALUES ('[1,2]');
SELECT * FROM e ORDER BY v <-> '[1,2]' LIMIT 1;
-- all rows equal, and all distances
TRUNCATE e;
DROP INDEX e_v;
INSERT INTO e (v) SELECT '[1,2,3]' FROM generate_series(1, 3000);
CREATE INDEX e_v ON e USING ivfflat (v vector_l2_ops);
SELECT lists FROM ivfflat_meta('e_v');
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM e ORDER BY v <-> '[9,9,9]') x;
INSERT INTO e (v) SELECT '[1,2,3]' FROM generate_series(1, 1000);
RESET ivfflat.probes;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM e ORDER BY v <-> '[1,2,3]') x;
SELECT * FROM problems;
TRUNCATE e;
INSERT INTO e (v) SELECT ARRAY[cos(i), sin(i), 0]::vector FROM generate_series(1, 1000) i;
SET ivfflat.probes = 100;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM e ORDER BY v <-> '[0,0,0]') x;
SELECT * FROM problems;
DROP TABLE e;
-- sums that overflow
CREATE TABLE o (id serial, v vector(3));
INSERT INTO o (v) SELECT ARRAY[i * 1e30, 1, 2]::vector FROM generate_series(1, 50) i;
INSERT INTO o (v) SELECT ARRAY[i, 1, 2]::vector FROM generate_series(1, 50) i;
CREATE INDEX o_v ON o USING ivfflat (v vector_l2_ops) WITH (lists = 5);
SELECT id FROM o ORDER BY v <-> '[7,1,2]' LIMIT 3;
SELECT id FROM o ORDER BY v <-> '[7e30,1,2]' LIMIT 1;
SELECT count(*) FROM (SELECT id FROM o ORDER BY v <-> '[7e30,1,2]') x;
SELECT * FROM problems;
DROP TABLE o;
-- unlogged and temporary tables, partitions
CREATE UNLOGGED TABLE u (id integer, v vector(3));
CREATE INDEX ON u USING ivfflat (v vector_l2_ops) WITH (lists = 5);
INSERT INTO u SELECT id, v FROM t;
SELECT id FROM u ORDER BY v <-> '[500,3,5]', id LIMIT 1;
CREATE TEMP TABLE tmp (v vector(3));
CREATE INDEX ON tmp USING ivfflat (v vector_l2_ops);
INSERT INTO tmp SELECT v FROM t;
SELECT v FROM tmp ORDER BY v <-> '[500,3,5]' LIMIT 1;
CREATE TABLE parts (id integer, v vector(3)) PARTITION BY HASH (id);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX ON parts USING ivfflat (v vector_l2_ops);
INSERT INTO parts SELECT id, v FROM t WHERE v IS NOT NULL;
SELECT id FROM parts ORDER BY v <-> '[500,3,5]', id LIMIT 1;
SELECT * FROM problems;
DROP TABLE u, tmp, parts;
-- settings
RESET ivfflat.probes;
SHOW ivfflat.probes;
SET ivfflat.probes = 0;
SET ivfflat.probes = 32769;
SHOW ivfflat.iterative_scan;
SET ivfflat.iterative_scan = on;
SHOW ivfflat.max_probes;
SET ivfflat.max_probes = 0;
SET ivfflat.max_probes = 32769;
-- errors
CREATE INDEX ON t USING ivfflat (v vector_l2_ops) WITH (lists = 0);
CREATE INDEX ON t USING ivfflat (v vector_l2_ops) WITH (lists = 32769);
CREATE INDEX ON t USING ivfflat (v vector_l2_ops) WITH (vector_bits = 7);
CREATE INDEX ON t USING ivfflat (v vector_l2_ops) WITH (m = 16);
CREATE INDEX ON t USING ivfflat (v vector_l1_ops);
CREATE INDEX ON t USING ivfflat (v vector_l2_ops, h halfvec_l2_ops);
CREATE UNIQUE INDEX ON t USING ivfflat (v vector_l2_ops);
CREATE TABLE bad (v vector, w vector(8001), s sparsevec(3));
CREATE INDEX ON bad USING ivfflat (v vector_l2_ops);
CREATE INDEX ON bad USING ivfflat (w vector_l2_ops);
CREATE INDEX ON bad USING ivfflat (s);
SELECT * FROM ivfflat_check('bad');
SELECT * FROM ivfflat_meta('pg_class');
CREATE INDEX h ON t USING hnsw (v vector_l2_ops);
SELECT * FROM ivfflat_stats('h');
DROP TABLE bad, t;
DROP VIEW problems;
DROP FUNCTION try;
SELECT count(*), bool_and(amvalidate(opc.oid)) FROM pg_opclass opc JOIN pg_am am ON am.oid = opcmethod WHERE amname = 'ivfflat';
