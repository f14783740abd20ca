-- lifecycle: an index through TRUNCATE, ROLLBACK, DELETE, VACUUM and refills, looked at from one session
SET enable_seqscan = off;
SET jit = off;   -- for the costs of what is switched off
-- What must always hold: a scan gets to every row, each row is found by its own vector, hnsw_check finds nothing.
-- With so large an ef_search none of it depends on the levels that rows happen to draw.
CREATE FUNCTION verify(tab regclass, op text DEFAULT '<->', OUT rows bigint, OUT reached bigint, OUT missed bigint, OUT problems bigint)
    LANGUAGE plpgsql SET enable_seqscan = off SET hnsw.ef_search = 1000 SET hnsw.iterative_scan = relaxed_order
    SET hnsw.max_scan_tuples = 1000000 SET hnsw.scan_mem_multiplier = 100 AS $$
BEGIN
    EXECUTE format('SELECT count(*) FROM %s WHERE v IS NOT NULL', tab) INTO rows;
    EXECUTE format('SELECT count(*) FROM (SELECT FROM %s ORDER BY v %s (SELECT v FROM %1$s WHERE v IS NOT NULL LIMIT 1)) s', tab, op) INTO reached;
    EXECUTE format('SELECT count(*) FROM %s a WHERE v IS NOT NULL AND (SELECT b.v %s a.v FROM %1$s b ORDER BY b.v %2$s a.v LIMIT 1)
        IS DISTINCT FROM (a.v %2$s a.v)', tab, op) INTO missed;
    SELECT count(*) INTO problems FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam AND a.amname = 'hnsw',
        LATERAL hnsw_check(c.oid, true) k WHERE i.indrelid = tab;
END $$;
-- VACUUM keeps the rows that another transaction may see, so wait until there is none: workers of autovacuum come to
-- any database. (One may still begin in the moment after that, which is why a size below has some slack.)
CREATE PROCEDURE alone() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 1500 LOOP
        PERFORM pg_stat_clear_snapshot();
        EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL));
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;
-- n vectors of 32 dimensions from the start-th on, the same each time
CREATE FUNCTION waves(start integer, n integer, OUT id integer, OUT v vector) RETURNS SETOF record LANGUAGE sql IMMUTABLE AS
    'SELECT i, (SELECT array_agg(sin(i * j * 0.37) + 5 ORDER BY j) FROM generate_series(1, 32) j)::vector FROM generate_series(start, start + n - 1) i';
-- the nearest to the 77th: first itself, and most of the five that are
CREATE FUNCTION good(tab regclass) RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off SET hnsw.ef_search = 200 AS $$
DECLARE found integer[]; best integer[]; q vector;
BEGIN
    SELECT w.v INTO q FROM waves(77, 1) w;
    EXECUTE format('SELECT array_agg(id) FROM (SELECT id FROM %s ORDER BY v <-> $1 LIMIT 5) s', tab) INTO found USING q;
    EXECUTE format('SELECT array_agg(id) FROM (SELECT id FROM %s ORDER BY (v <-> $1) + 0 LIMIT 5) s', tab) INTO best USING q;
    RETURN found[1] = 77 AND (SELECT count(*) FROM unnest(found) f WHERE f = ANY (best)) >= 4;
END $$;

-- ---- an index that is made anew in the same file ----

-- ON COMMIT DELETE ROWS, and other options from the next transaction on
CREATE TEMP TABLE d (id integer, v vector(3)) ON COMMIT DELETE ROWS;
CREATE INDEX di ON d USING hnsw (v vector_l2_ops);
CREATE PROCEDURE fill() LANGUAGE sql AS 'INSERT INTO d SELECT i, ARRAY[i, i % 7, 1]::vector(3) FROM generate_series(1, 500) i';
BEGIN;
CALL fill();
SELECT id FROM d ORDER BY v <-> '[50,1.2,1]' LIMIT 2;
COMMIT;
SELECT id FROM d ORDER BY v <-> '[50,1.2,1]' LIMIT 2;
ALTER INDEX di SET (m = 8);
BEGIN;
CALL fill();
SELECT id FROM d ORDER BY v <-> '[50,1.2,1]' LIMIT 2;
SELECT * FROM verify('d');
COMMIT;
ALTER INDEX di SET (vector_bits = 2);
BEGIN;
CALL fill();
SELECT id FROM d ORDER BY v <-> '[50,1.2,1]' LIMIT 2;
SELECT * FROM verify('d');
COMMIT;
ALTER INDEX di SET (vector_bits = 32, sketch_fold = -1);
BEGIN;
CALL fill();
SELECT id FROM d ORDER BY v <-> '[50,1.2,1]' LIMIT 2;
SELECT * FROM verify('d');
ROLLBACK;
BEGIN;
SELECT id FROM d ORDER BY v <-> '[50,1.2,1]' LIMIT 2;
CALL fill();
TRUNCATE d;
SELECT id FROM d ORDER BY v <-> '[50,1.2,1]' LIMIT 2;
CALL fill();
SELECT id FROM d ORDER BY v <-> '[50,1.2,1]' LIMIT 2;
SELECT * FROM verify('d');
COMMIT;
DROP TABLE d;

-- TRUNCATE of a table that this transaction made, or truncated before: with another codebook, another width of code
BEGIN;
CREATE TABLE reg (id integer, v vector(32));
INSERT INTO reg SELECT * FROM waves(1, 2000);
CREATE INDEX reg_v ON reg USING hnsw (v vector_l2_ops) WITH (vector_bits = 2);
SELECT good('reg');
TRUNCATE reg;
SELECT good('reg');
INSERT INTO reg SELECT * FROM waves(1, 2000);
SELECT good('reg');
ALTER INDEX reg_v SET (vector_bits = 1);
TRUNCATE reg;
INSERT INTO reg SELECT * FROM waves(1, 500);
SELECT * FROM verify('reg');
ALTER INDEX reg_v SET (vector_bits = 16, m = 5);
REINDEX INDEX reg_v;
SELECT * FROM verify('reg');
SAVEPOINT a;
TRUNCATE reg;
INSERT INTO reg SELECT * FROM waves(501, 400);
SELECT * FROM verify('reg');
TRUNCATE reg;
INSERT INTO reg SELECT * FROM waves(1001, 300);
SELECT * FROM verify('reg');
ROLLBACK TO a;
SELECT * FROM verify('reg');
ALTER TABLE reg ALTER v TYPE vector(8) USING subvector(v, 1, 8);
SELECT * FROM verify('reg');
COMMIT;
BEGIN;
TRUNCATE reg;
INSERT INTO reg SELECT id, subvector(v, 1, 8) FROM waves(1, 200);
SELECT * FROM verify('reg');
ALTER INDEX reg_v SET (vector_bits = 8);
TRUNCATE reg;
INSERT INTO reg SELECT id, subvector(v, 2, 8) FROM waves(1, 250);
SELECT * FROM verify('reg');
ROLLBACK;
SELECT * FROM verify('reg');
DROP TABLE reg;

-- ---- transactions ----

CREATE TABLE t (id integer PRIMARY KEY, v vector(32)) WITH (autovacuum_enabled = off);
CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops) WITH (m = 8);
INSERT INTO t SELECT * FROM waves(1, 200);
BEGIN;
INSERT INTO t SELECT * FROM waves(201, 100);
SAVEPOINT a;
INSERT INTO t SELECT * FROM waves(301, 300);
SELECT reached, missed FROM verify('t');
ROLLBACK TO a;
SELECT * FROM verify('t');
INSERT INTO t SELECT * FROM waves(301, 50);
DELETE FROM t WHERE id <= 20;
SAVEPOINT b;
DELETE FROM t;
SELECT * FROM verify('t');
ROLLBACK TO b;
TRUNCATE t;
SELECT * FROM verify('t');
INSERT INTO t SELECT * FROM waves(1, 30);
SELECT * FROM verify('t');
ROLLBACK TO a;
SELECT * FROM verify('t');
COMMIT;
SELECT * FROM verify('t');
-- one subtransaction a row, of which every third fails
DO $$ BEGIN
    FOR i IN 1001 .. 1150 LOOP
        BEGIN
            INSERT INTO t SELECT * FROM waves(i, 1);
            IF i % 3 = 0 THEN RAISE division_by_zero; END IF;
        EXCEPTION WHEN division_by_zero THEN NULL;
        END;
    END LOOP;
END $$;
SELECT * FROM verify('t');
BEGIN;
DELETE FROM t WHERE id % 2 = 0;
DROP INDEX t_v;
CREATE INDEX t_v ON t USING hnsw (v vector_cosine_ops);
SELECT * FROM verify('t', '<=>');
ROLLBACK;
SELECT * FROM verify('t');
CALL alone();
VACUUM t;
SELECT * FROM verify('t');
-- cursors, held and not, beside changes
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM t ORDER BY v <-> (SELECT v FROM waves(77, 1));
DECLARE h CURSOR WITH HOLD FOR SELECT id FROM t ORDER BY v <-> (SELECT v FROM waves(77, 1)) LIMIT 150;
FETCH 1 FROM c;
SAVEPOINT a;
DELETE FROM t;
MOVE 200 FROM c;
ROLLBACK TO a;
MOVE 50 FROM c;
TRUNCATE t;
ROLLBACK TO a;
CLOSE c;
DELETE FROM t WHERE id > 100;
COMMIT;
FETCH 1 FROM h;
MOVE ALL FROM h;
CLOSE h;
CALL alone();
VACUUM t;
SELECT * FROM verify('t');
-- DISCARD
PREPARE p AS SELECT id FROM t ORDER BY v <-> (SELECT v FROM waves(77, 1)) LIMIT 1;
EXECUTE p;
CREATE TEMP TABLE temp (id integer, v vector(32));
CREATE INDEX ON temp USING hnsw (v vector_l2_ops);
INSERT INTO temp SELECT * FROM waves(1, 300);
SELECT * FROM verify('temp');
DISCARD TEMP;
CREATE TEMP TABLE temp (id integer, v vector(32));
CREATE INDEX ON temp USING hnsw (v vector_l2_ops) WITH (m = 4, vector_bits = 2);
INSERT INTO temp SELECT * FROM waves(501, 200);
SELECT * FROM verify('temp');
DISCARD ALL;
SET enable_seqscan = off;
SET jit = off;
SELECT * FROM verify('t');
INSERT INTO t SELECT * FROM waves(101, 100);
SELECT * FROM verify('t');
-- rewrites
VACUUM FULL t;
SELECT * FROM verify('t');
CLUSTER t USING t_pkey;
INSERT INTO t SELECT * FROM waves(201, 100);
SELECT * FROM verify('t');
ALTER TABLE t SET UNLOGGED;
INSERT INTO t SELECT * FROM waves(301, 100);
SELECT * FROM verify('t');
ALTER TABLE t SET LOGGED;
INSERT INTO t SELECT * FROM waves(401, 100);
SELECT * FROM verify('t');
REINDEX INDEX CONCURRENTLY t_v;
DELETE FROM t WHERE id % 4 > 0;
CALL alone();
VACUUM t;
SELECT * FROM verify('t');

-- ---- emptied and filled again ----

-- one row after the other, the first and the one where searches begin among them
TRUNCATE t;
INSERT INTO t SELECT * FROM waves(1, 25);
CALL alone();
CREATE TEMP TABLE wrong (step integer, rows bigint, reached bigint, missed bigint, problems bigint);
\set ECHO none
SELECT s FROM generate_series(1, 25) i, LATERAL (VALUES (1, format('DELETE FROM t WHERE id = %s', i)), (2, 'VACUUM t'),
    (3, format('INSERT INTO t SELECT * FROM waves(%s, 2)', 100 + 2 * i)), (4, format('DELETE FROM t WHERE id IN (%s, %s)', 100 + 2 * i, 101 + 2 * i)),
    (5, format('INSERT INTO wrong SELECT %s, x.* FROM verify(''t'') x WHERE rows <> 25 - %1$s OR (rows, missed, problems) <> (reached, 0, 0)', i))) x (n, s)
    ORDER BY i, n
\gexec
\set ECHO all
SELECT * FROM wrong;
SELECT * FROM verify('t');
INSERT INTO t SELECT * FROM waves(1, 3);
SELECT * FROM verify('t');
-- all rows at once, in rounds: before, beside and after VACUUM, in the end twice
CREATE TABLE rounds (id integer, v vector(32), b bit(64), s sparsevec(96)) WITH (autovacuum_enabled = off);
CREATE INDEX rounds_v ON rounds USING hnsw (v vector_l2_ops) WITH (m = 8);
CREATE INDEX rounds_c ON rounds USING hnsw (v vector_cosine_ops) WITH (m = 8, vector_bits = 2);
CREATE INDEX rounds_b ON rounds USING hnsw (b bit_hamming_ops) WITH (m = 8);
CREATE INDEX rounds_s ON rounds USING hnsw (s sparsevec_l2_ops) WITH (m = 8);
CREATE PROCEDURE refill(start integer, n integer) LANGUAGE sql AS
    'INSERT INTO rounds SELECT id, v, binary_quantize((v || v) - (SELECT avg(w.v || w.v) FROM waves(1, 100) w)), (v || v || v)::sparsevec FROM waves(start, n)';
CALL refill(1, 400);
SELECT * FROM verify('rounds');
DELETE FROM rounds;
SELECT * FROM verify('rounds');
CALL refill(1001, 300);
SELECT * FROM verify('rounds');
CALL alone();
VACUUM rounds;
SELECT * FROM verify('rounds');
DELETE FROM rounds;
CALL alone();
VACUUM rounds;
SELECT * FROM verify('rounds');
CALL refill(2001, 400);
SELECT * FROM verify('rounds');
SELECT * FROM verify('rounds', '<=>');
DELETE FROM rounds;
CALL alone();
VACUUM rounds;
VACUUM rounds;
CALL refill(1, 1);
SELECT * FROM verify('rounds');
DELETE FROM rounds;
CALL alone();
VACUUM rounds;
CALL refill(3001, 500);
SELECT * FROM verify('rounds');
DELETE FROM rounds WHERE id % 100 > 0;
CALL alone();
VACUUM rounds;
SELECT * FROM verify('rounds');
CALL refill(5001, 500);
SELECT * FROM verify('rounds');
-- sparse and bit vectors, each by its own
SET hnsw.ef_search = 1000;
SELECT count(*) FROM rounds a WHERE 0 IS DISTINCT FROM (SELECT a.s <-> x.s FROM rounds x ORDER BY x.s <-> a.s LIMIT 1);
SELECT count(*) FROM rounds a WHERE 0 IS DISTINCT FROM (SELECT a.b <~> x.b FROM rounds x ORDER BY x.b <~> a.b LIMIT 1);
RESET hnsw.ef_search;
DROP TABLE rounds;

-- ---- an island of equal rows ----

-- Every second row is the same vector, and more of it come later. With half of the rows gone, the others are reached.
CREATE TABLE island (id integer, v vector(8)) WITH (autovacuum_enabled = off);
CREATE INDEX island_v ON island USING hnsw (v vector_l2_ops);
\set same '''[1,2,3,4,5,6,7,8]'''
SELECT s FROM (VALUES (1000, 300), (2000, 500), (4000, 1000)) size (n, k), LATERAL (VALUES
    (1, 'TRUNCATE island'),
    (2, format('INSERT INTO island SELECT i, CASE WHEN i %% 2 = 0 THEN %L ELSE ARRAY[i %% 13, i %% 7, i %% 5, i %% 11, 1, 2, 3, 4]::vector END FROM generate_series(1, %s) i', :same, n)),
    (3, 'REINDEX INDEX island_v'),
    (4, format('INSERT INTO island SELECT 100000 + i, %L FROM generate_series(1, %s) i', :same, k)),
    (5, 'DELETE FROM island WHERE id % 2 = 0'),
    (6, 'CALL alone()'),
    (7, 'VACUUM island'),
    (8, format('SELECT count(*) AS nearest FROM (SELECT FROM island ORDER BY v <-> %L LIMIT %s) s', :same, (n + k) * 9 / 20)),
    (9, format('SELECT count(*) AS filtered FROM (SELECT FROM island WHERE id < 100000 ORDER BY v <-> %L LIMIT 10) s', :same)),
    (10, 'SET hnsw.iterative_scan = relaxed_order'),
    (11, format('SELECT count(*) AS all_rows, count(*) FILTER (WHERE id < 100000) AS others FROM (SELECT id FROM island ORDER BY v <-> %L OFFSET 0) s', :same)),
    (12, 'RESET hnsw.iterative_scan'),
    (13, 'SELECT count(*) AS problems FROM hnsw_check(''island_v'', true)')) x (o, s)
    ORDER BY n, o
\gexec
-- two such islands, and nothing else left between them
TRUNCATE island;
INSERT INTO island SELECT i, CASE i % 3 WHEN 0 THEN :same WHEN 1 THEN '[9,9,9,9,9,9,9,9]' ELSE ARRAY[i % 13, i % 7, i % 5, i % 11, 1, 2, 3, 4]::vector END
    FROM generate_series(1, 1200) i;
REINDEX INDEX island_v;
DELETE FROM island WHERE id % 3 = 2 OR id % 4 = 0;
CALL alone();
VACUUM island;
INSERT INTO island SELECT 10000 + i, :same FROM generate_series(1, 200) i;
SELECT * FROM verify('island');
SELECT count(*) FROM (SELECT FROM island WHERE id % 3 = 1 AND id < 10000 ORDER BY v <-> :same LIMIT 300) s;
DROP TABLE island;

-- ---- room that VACUUM made is used again ----

-- As many rows as were deleted come again: the index is not larger than before. (2 %: how many upper layers rows draw
-- is chance. Each statement is a transaction, so none of them is older than VACUUM.)
CREATE TABLE room (id integer, v vector(3), w vector(300), s sparsevec(300)) WITH (autovacuum_enabled = off);
INSERT INTO room (id, v) SELECT i, ARRAY[sin(i * 0.7), sin(i * 1.3), sin(i * 2.9)]::vector FROM generate_series(1, 10000) i;
CREATE INDEX room_v ON room USING hnsw (v vector_l2_ops) WITH (m = 8);
SELECT s FROM (VALUES ('id <= 9000'), ('id % 10 > 0'), ('id <= 10000')) shape (which), LATERAL (VALUES
    (1, 'REINDEX INDEX room_v'),
    (2, 'CREATE TEMP TABLE before AS SELECT pg_relation_size(''room_v'') AS bytes'),
    (3, format('CREATE TEMP TABLE gone AS SELECT id FROM room WHERE %s', which)),
    (4, format('DELETE FROM room WHERE %s', which)),
    (5, 'CALL alone()'),
    (6, 'VACUUM room'),
    (7, 'INSERT INTO room (id, v) SELECT id, ARRAY[cos(id * 0.7), cos(id * 1.3), cos(id * 2.9)]::vector FROM gone'),
    (8, 'SELECT count(*) AS again, pg_relation_size(''room_v'') <= 1.02 * (SELECT bytes FROM before) AS no_larger FROM gone'),
    (9, 'SELECT count(*) AS problems FROM hnsw_check(''room_v'', true)'),
    (10, 'DROP TABLE before, gone')) x (n, s)
    ORDER BY which, n
\gexec
-- the same of rows of which a page holds few, and of sparse vectors with what does not fit into their slots (10 %: few rows,
-- so chance has a larger part)
TRUNCATE room;
DROP INDEX room_v;
CREATE PROCEDURE wide(start integer, n integer) LANGUAGE sql AS
    'INSERT INTO room (id, w, s) SELECT i, x, x::sparsevec FROM (SELECT i, (SELECT array_agg(sin(i * j)) FROM generate_series(1, 300) j)::vector AS x FROM generate_series(start, start + n - 1) i) y';
CREATE INDEX room_w ON room USING hnsw (w vector_l2_ops) WITH (m = 8);
CREATE INDEX room_s ON room USING hnsw (s sparsevec_l2_ops) WITH (m = 4, ef_construction = 8);
CALL wide(1, 600);
CREATE TEMP TABLE before AS SELECT pg_relation_size('room_w') AS w, pg_relation_size('room_s') AS s;
DELETE FROM room WHERE id <= 500;
CALL alone();
VACUUM room;
CALL wide(1001, 500);
SELECT pg_relation_size('room_w') <= 1.1 * w AS w, pg_relation_size('room_s') <= 1.1 * s AS s FROM before;
DELETE FROM room WHERE id % 2 = 0;
CALL alone();
VACUUM room;
CALL wide(2001, 280);
SELECT pg_relation_size('room_w') <= 1.1 * w AS w, pg_relation_size('room_s') <= 1.1 * s AS s FROM before;
SELECT count(*) FROM hnsw_check('room_w', true);
SELECT count(*) FROM hnsw_check('room_s', true);
DROP TABLE room, before;

-- ---- sound indexes that hnsw_check must not blame ----

-- Coordinates whose squares a float does not hold (from 2e19 on), or those of their differences; then such whose sums it
-- does not.
CREATE TABLE far (id integer, v vector(3));
INSERT INTO far SELECT i, ARRAY[i, i * i % 17, i % 5]::vector FROM generate_series(1, 200) i;
INSERT INTO far VALUES (1000, '[4e19,1,1]'), (1001, '[-1e19,1,1]'), (1002, '[1,2e19,-2e19]'), (1003, '[1e-38,1e-44,0]');
CREATE INDEX far_l2 ON far USING hnsw (v vector_l2_ops);
CREATE INDEX far_ip ON far USING hnsw (v vector_ip_ops);
CREATE INDEX far_cosine ON far USING hnsw (v vector_cosine_ops);
CREATE INDEX far_l1 ON far USING hnsw (v vector_l1_ops);
CREATE INDEX far_16 ON far USING hnsw (v vector_l2_ops) WITH (vector_bits = 16);
CREATE INDEX far_2 ON far USING hnsw (v vector_l2_ops) WITH (vector_bits = 2);
CREATE INDEX far_bare ON far USING hnsw (v vector_l2_ops) WITH (sketch_fold = -1);
CREATE VIEW problems AS SELECT c.relname, count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid, hnsw_check(c.oid, true) k
    WHERE i.indrelid = 'far'::regclass GROUP BY 1 ORDER BY 1;
SELECT * FROM problems;
INSERT INTO far VALUES (2000, '[4e19,1,1]'), (2001, '[5e19,2,2]'), (2002, '[-3e25,1,0]'), (2003, '[-3e25,1,0]');
SELECT * FROM problems;
INSERT INTO far VALUES (3000, '[3e38,3e38,-3e38]'), (3001, '[2e38,-3e38,1]');
SELECT * FROM problems;
REINDEX TABLE far;
SELECT * FROM problems;
DROP VIEW problems;
DROP TABLE far;
-- Inner products that overflow are infinitely near or far, and no row is lost among them.
CREATE TABLE far (id integer, v vector(3));
INSERT INTO far SELECT i, ARRAY[i, i * i % 17, i % 5]::vector FROM generate_series(1, 200) i;
INSERT INTO far SELECT 1000 + i, ARRAY[(1 + i / 100.0) * 1e20, -3e19, (i % 7) * 1e19]::vector FROM generate_series(1, 100) i;
INSERT INTO far SELECT 2000 + i, ARRAY[(1 + i / 100.0) * 1e20, -3e19, (i % 7) * -1e19]::vector FROM generate_series(1, 100) i;
CREATE INDEX far_ip ON far USING hnsw (v vector_ip_ops);
SET hnsw.ef_search = 400;
SELECT count(*) FROM (SELECT id FROM far ORDER BY v <#> '[1e20,1e20,1]') x;
SELECT count(*) FROM (SELECT id FROM far ORDER BY v <#> '[1e20,-3e20,1]') x;
SELECT count(*), bool_and(id > 1000) FROM (SELECT id FROM far ORDER BY v <#> '[1e20,1,1]' LIMIT 200) x;
RESET hnsw.ef_search;
SET hnsw.iterative_scan = relaxed_order;
SELECT count(*) FROM (SELECT id FROM far ORDER BY v <#> '[1e20,1e20,1]') x;
RESET hnsw.iterative_scan;
SELECT count(*) FROM hnsw_check('far_ip', true);
DROP TABLE far;

-- Of equal rows, one candidate brings as many as in pgvector, ten at least.
CREATE TABLE equals (id integer, v vector(3));
INSERT INTO equals SELECT i, '[1,2,3]' FROM generate_series(1, 20) i;
CREATE INDEX ON equals USING hnsw (v vector_l2_ops);
SET hnsw.ef_search = 1;
SET hnsw.iterative_scan = off;
SELECT count(*) >= 10 AS ten FROM (SELECT id FROM equals ORDER BY v <-> '[1,2,3]' LIMIT 20) x;
RESET hnsw.ef_search;
RESET hnsw.iterative_scan;
DROP TABLE equals;
-- ---- who may look ----

-- Nobody but who was given it: hnsw_check locks out writers.
SELECT p.oid::regprocedure FROM pg_proc p, LATERAL aclexplode(coalesce(proacl, acldefault('f', proowner))) a
    WHERE proname = 'hnsw_check' AND a.grantee = 0;
DROP TABLE t;
DROP PROCEDURE alone(), fill(), refill(integer, integer), wide(integer, integer);
DROP FUNCTION verify(regclass, text), good(regclass), waves(integer, integer);
